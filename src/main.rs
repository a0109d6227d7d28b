//! The `switchhook` program: parses arguments, loads the configuration and calls the library.

fn main() {}
