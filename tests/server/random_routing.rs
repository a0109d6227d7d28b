//! Random commands (follows).
