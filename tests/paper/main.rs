//! Documents in and out: mandates read from DOCX, and what is printed; tokens revoked on their platform.

mod documents;
mod docx;
mod doubts;
mod edges;
mod facts;
mod mandates;
mod oauth;
mod output;
mod render;
mod sample;
