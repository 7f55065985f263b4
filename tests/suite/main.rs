//! The tests of the whole: in one binary, so that they are built once.

mod anchor;
mod story;
mod support;
