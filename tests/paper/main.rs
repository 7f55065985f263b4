//! Documents in and out: mandates read from DOCX, and what is printed.

mod docx;
mod documents;
mod edges;
mod facts;
mod mandates;
mod output;
mod render;
