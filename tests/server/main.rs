//! Tests that need no second database server: the rules of the code, and the program as a whole.

mod api;
mod command_line;
mod crash;
mod programs;
mod random_routing;
mod routing_watch;
mod scenarios;
mod story;
mod tidy;
