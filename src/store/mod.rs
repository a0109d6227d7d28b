//! Rows on disk: SQLite now, behind one `Store` type; it must not decide anything or call the network.
