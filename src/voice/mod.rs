//! Webhooks from the phone system and the TwiML they are answered with; no rules live here.
