//! The program as its users meet it, one file per command or kind of question.
#![allow(clippy::unwrap_used, reason = "in a test a fault is a failure")]

mod book;
mod borders;
mod dashboard;
mod data;
mod dynamics;
mod exponents;
mod fetch;
mod held;
mod measure;
mod messages;
mod nearby;
mod outputs;
mod rates;
mod report;
mod reproduce;
mod scan;
mod server;
mod stored;
mod support;
mod sweep;
mod terminal;
mod train;
mod widths;
