//! The HTTP listener: accept loop with limits and time-outs, graceful end.
