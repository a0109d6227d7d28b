//! Tests that need no second database server: the rules of the code, and the program as a whole.

#[cfg(test)]
mod access;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod api;
#[cfg(test)]
mod api_keys;
#[cfg(test)]
mod assignment;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod between;
#[cfg(test)]
mod calendars;
#[cfg(test)]
mod call_back;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod conversation;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod dialling;
#[cfg(test)]
mod entries;
#[cfg(test)]
mod event_callbacks;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod first_sdk;
#[cfg(test)]
mod instructions;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod lint;
#[cfg(test)]
mod locked;
#[cfg(test)]
mod pace;
#[cfg(test)]
mod pitfalls;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod random_commands;
#[cfg(test)]
mod recount;
#[cfg(test)]
mod repair;
#[cfg(test)]
mod repeats;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod rooms;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod statistics;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tidy;
#[cfg(test)]
#[cfg(feature = "otlp")]
mod traces;
#[cfg(test)]
#[expect(dead_code, reason = "only the simulation takes back what was lost")]
#[path = "../watch/mod.rs"]
mod watch;
