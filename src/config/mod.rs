//! Settings: defaults, file, environment, options.
