//! `telnyx-signature-ed25519`: signatures with a key pair, of which the receiver has only the public half.
//!
//! What is signed is the time in seconds, a bar and the body as sent (Telnyx: webhook signing). The URL is not part of it, so
//! a request without a body proves nothing and is refused, and one that is old as well. Start with [`PublicKey::verify`].

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

/// Name of the header with the signature, in base64.
pub const HEADER: &str = "telnyx-signature-ed25519";
/// Name of the header with the seconds since 1970 at which it was made.
pub const TIME_HEADER: &str = "telnyx-timestamp";

/// How far that time may be from ours, in seconds.
const SECS_APART_MAX: u64 = 300;

/// The key that signatures are checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; ED25519_PUBLIC_KEY_LEN]);

impl PublicKey {
    /// Reads it in base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text.trim()).ok()?.try_into().ok().map(Self)
    }

    /// Checks the signature of a request with this body, of which the headers say that it was made at `time`; `now_secs` are
    /// the seconds since 1970.
    #[must_use]
    pub fn verify(&self, time: &str, body: &[u8], signature: &str, now_secs: i64) -> bool {
        let (Ok(signature), Ok(secs)) = (STANDARD.decode(signature), time.parse::<i64>()) else { return false };
        if body.is_empty() || secs.abs_diff(now_secs) > SECS_APART_MAX {
            return false;
        }
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&signed(time, body), &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// The key that signatures are made with; cheap to clone.
#[derive(Debug, Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

impl SigningKey {
    /// The key of a phone system for tests: it follows from a secret, so that whoever has that can work out the public key.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let seed = Sha256::digest(secret.as_bytes());
        Self(Arc::new(Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed has 32 bytes")))
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; ED25519_PUBLIC_KEY_LEN];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// The values of [`TIME_HEADER`] and [`HEADER`] for a request with this body.
    #[must_use]
    pub fn sign(&self, now_secs: i64, body: &[u8]) -> (String, String) {
        let time = now_secs.to_string();
        let signature = STANDARD.encode(self.0.sign(&signed(&time, body)));
        (time, signature)
    }
}

fn signed(time: &str, body: &[u8]) -> Vec<u8> {
    [time.as_bytes(), b"|", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;
    const BODY: &[u8] = b"CallSid=v3%3Aabc&CallStatus=ringing";

    #[test]
    fn a_signature_is_good_for_its_body_its_time_and_its_key() {
        let key = SigningKey::of("secret");
        let (time, signature) = key.sign(NOW, BODY);
        assert_eq!(time, "1790000000");
        let public = key.public_key();
        assert_eq!(PublicKey::parse(&public.to_string()), Some(public));
        assert!(public.verify(&time, BODY, &signature, NOW));
        assert!(!public.verify(&time, b"CallSid=v3%3Aabc&CallStatus=completed", &signature, NOW));
        assert!(!public.verify("1790000001", BODY, &signature, NOW), "the time is signed too");
        assert!(!SigningKey::of("another").public_key().verify(&time, BODY, &signature, NOW));
        for broken in ["", "not base64", "AAAA"] {
            assert!(!public.verify(&time, BODY, broken, NOW), "{broken}");
        }
        for broken in ["", "now", "1790000000.0"] {
            assert!(!public.verify(broken, BODY, &signature, NOW), "{broken}");
        }
    }

    #[test]
    fn a_signature_holds_for_five_minutes_by_either_clock() {
        let key = SigningKey::of("secret");
        let (time, signature) = key.sign(NOW, BODY);
        for (secs, good) in [(300, true), (301, false), (-300, true), (-301, false)] {
            assert_eq!(key.public_key().verify(&time, BODY, &signature, NOW + secs), good, "{secs}");
        }
    }

    #[test]
    fn a_signature_of_no_body_proves_nothing() {
        let key = SigningKey::of("secret");
        let (time, signature) = key.sign(NOW, b"");
        assert!(!key.public_key().verify(&time, b"", &signature, NOW));
    }

    #[test]
    fn a_signature_of_another_program_is_taken() {
        let public = PublicKey::parse("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=").unwrap();
        let signature = "e4jAhB8CvZKOHV8L/qSQ9X4LxEqMxUAC8onzbe09W4dsZ5Ly2KxuTbXrU4PVC9xT9rD38MdSifzpcwN+3S6OBg==";
        assert!(public.verify("1790000000", BODY, signature, NOW));
        assert!(!public.verify("1790000000", b"CallSid=v3%3Aabd&CallStatus=ringing", signature, NOW));
    }

    #[test]
    fn only_32_bytes_in_base64_are_a_key() {
        let key = SigningKey::of("secret").public_key().to_string();
        assert!(PublicKey::parse(&format!(" {key}\n")).is_some(), "as it was pasted");
        for text in ["", "key", "AAAA", &format!("{key}{key}")] {
            assert!(PublicKey::parse(text).is_none(), "{text}");
        }
    }
}
