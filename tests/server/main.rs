//! Tests of the server from outside: everything here uses only what the library makes public.

mod random_routing;
mod routing_watch;
mod scenarios;
