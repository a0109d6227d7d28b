//! `switchhook demo`: server and phone in one process, talking over real HTTP.
