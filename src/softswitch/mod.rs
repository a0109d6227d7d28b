//! The `switchhook phone` side: a small Twilio-compatible phone system of our own.
