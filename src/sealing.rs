//! Secrets at rest: encrypted with a key of the operator and bound to the place where they are kept.
//!
//! A secret is sealed with AES-256-GCM under the first key of a [`KeyRing`] and a random nonce. Its place (table, column,
//! SIDs) is authenticated with it, so that a sealed text that is moved to another row does not open. All keys of the ring
//! open, so keys can be changed one after the other. This module must not know where keys or sealed texts are kept. Start
//! with [`KeyRing`].

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use sha2::{Digest as _, Sha256};

use crate::clock::Entropy;

/// Bytes of a key.
const KEY_LEN: usize = 32;
/// A key with fewer different digits was not drawn at random.
const DISTINCT_DIGITS: usize = 8;
/// Keys of one ring; every one beyond the second waits for `reencrypt`.
const KEYS_LIMIT: usize = 16;

/// A text that holds no usable keys. It never shows what it found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// There is no key.
    #[error("holds no key; expected 64 hexadecimal digits, for example the output of `openssl rand -hex 32`")]
    None,
    /// A key of another form.
    #[error("key {number} is not 64 hexadecimal digits; `openssl rand -hex 32` makes one")]
    Form {
        /// Which, counted from 1.
        number: usize,
    },
    /// A key that was not drawn at random.
    #[error("key {number} is too easy to guess; `openssl rand -hex 32` makes one")]
    Weak {
        /// Which, counted from 1.
        number: usize,
    },
    /// More keys than anyone needs.
    #[error("holds more than {KEYS_LIMIT} keys")]
    Many,
}

/// Why a sealed text does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The ring does not have the key.
    #[error("key {0} is missing")]
    UnknownKey(String),
    /// The text was changed, or belongs to another place.
    #[error("the text was changed, or moved from another row")]
    Forged,
}

/// An encrypted secret and the name of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Name of the key.
    pub key: String,
    /// Base64 of nonce, encrypted secret and tag.
    pub text: String,
}

/// The keys that secrets are sealed with: the first one seals, all of them open.
pub struct KeyRing(Vec<Key>);

struct Key {
    /// Sixteen digits of the key's digest, so that keys need no names of their own.
    name: String,
    cipher: LessSafeKey,
}

impl Key {
    fn of_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        let digest = Sha256::new().chain_update(b"switchhook key\0").chain_update(bytes).finalize();
        let (name, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        let name = format!("{:016x}", u64::from_be_bytes(*name));
        let unbound = UnboundKey::new(&AES_256_GCM, bytes).expect("the length is that of the algorithm's keys");
        Self { name, cipher: LessSafeKey::new(unbound) }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.names()).finish()
    }
}

impl KeyRing {
    /// Reads keys: 64 hexadecimal digits each, separated by white space or commas; a line that begins with `#` is a
    /// comment.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let parts = lines.flat_map(|line| line.split([' ', '\t', ',', '\r'])).filter(|part| !part.is_empty());
        let mut keys: Vec<Key> = Vec::new();
        for (index, part) in parts.enumerate() {
            let number = index + 1;
            if number > KEYS_LIMIT {
                return Err(InvalidKeys::Many);
            }
            let bytes = key_bytes(part).ok_or(InvalidKeys::Form { number })?;
            let digits: std::collections::BTreeSet<_> = part.bytes().map(|digit| digit.to_ascii_lowercase()).collect();
            if digits.len() < DISTINCT_DIGITS {
                return Err(InvalidKeys::Weak { number });
            }
            keys.push(Key::of_bytes(&bytes));
        }
        if keys.is_empty() { Err(InvalidKeys::None) } else { Ok(Self(keys)) }
    }

    /// A fresh key in the form that [`KeyRing::parse`] reads.
    #[must_use]
    pub fn generate(entropy: Entropy) -> SecretString {
        SecretString::from(format!("{}{}", entropy.hex_128(), entropy.hex_128()))
    }

    /// Names of the keys, the sealing one first. A name does not help to guess its key.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.name.as_str())
    }

    /// Name of the key that seals.
    #[must_use]
    pub fn sealing_key(&self) -> &str {
        &self.0[0].name
    }

    /// Seals `secret` for `place`.
    #[must_use]
    pub fn seal(&self, secret: &SecretString, place: &str, entropy: Entropy) -> Sealed {
        let key = &self.0[0];
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut bytes = secret.expose_secret().as_bytes().to_vec();
        key.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut bytes)
            .expect("a secret is shorter than the algorithm's limit");
        let text = BASE64_STANDARD.encode([&nonce[..], &bytes].concat());
        Sealed { key: key.name.clone(), text }
    }

    /// Opens what was sealed for `place`.
    pub fn open(&self, sealed: &Sealed, place: &str) -> Result<SecretString, Error> {
        let key = self.0.iter().find(|key| key.name == sealed.key);
        let key = key.ok_or_else(|| Error::UnknownKey(sealed.key.clone()))?;
        let bytes = BASE64_STANDARD.decode(&sealed.text).map_err(|_| Error::Forged)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(Error::Forged)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain =
            key.cipher.open_in_place(nonce, Aad::from(place.as_bytes()), &mut bytes).map_err(|_| Error::Forged)?;
        std::str::from_utf8(plain).map(SecretString::from).map_err(|_| Error::Forged)
    }
}

fn key_bytes(text: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    if text.len() != 2 * KEY_LEN || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const NEW: &str = "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f";

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(text).unwrap()
    }

    #[test]
    fn a_secret_opens_at_its_place_only() {
        let ring = ring(OLD);
        let sealed = ring.seal(&"a secret".into(), "accounts/1", Entropy);
        assert!(!sealed.text.contains("secret"));
        assert_eq!(ring.open(&sealed, "accounts/1").unwrap().expose_secret(), "a secret");
        assert_eq!(ring.open(&sealed, "accounts/2").unwrap_err(), Error::Forged);
        let again = ring.seal(&"a secret".into(), "accounts/1", Entropy);
        assert_ne!(sealed.text, again.text, "no nonce twice");
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let ring = ring(OLD);
        let sealed = ring.seal(&"a secret".into(), "p", Entropy);
        let bytes = BASE64_STANDARD.decode(&sealed.text).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let changed = Sealed { text: BASE64_STANDARD.encode(changed), ..sealed.clone() };
            assert_eq!(ring.open(&changed, "p").unwrap_err(), Error::Forged, "byte {index}");
        }
        for text in ["", "AAAA", "no base64"] {
            let changed = Sealed { text: text.to_owned(), ..sealed.clone() };
            assert_eq!(ring.open(&changed, "p").unwrap_err(), Error::Forged, "{text}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_of_them_open() {
        let old = ring(OLD).seal(&"s".into(), "p", Entropy);
        let both = ring(&format!("# the new one\n{NEW}\n\n{OLD}\n"));
        let new = both.seal(&"s".into(), "p", Entropy);
        assert_eq!(new.key, ring(NEW).sealing_key());
        for sealed in [&old, &new] {
            assert_eq!(both.open(sealed, "p").unwrap().expose_secret(), "s");
        }
        assert_eq!(ring(NEW).open(&old, "p").unwrap_err(), Error::UnknownKey(old.key));
    }

    #[test]
    fn keys_are_64_hexadecimal_digits_in_lines_or_lists() {
        let upper = NEW.to_uppercase();
        for text in [format!("{NEW},{OLD}"), format!("{upper}\r\n{OLD}"), format!(" {NEW}  {OLD} ")] {
            let names: Vec<String> = ring(&text).names().map(str::to_owned).collect();
            assert_eq!(names, [ring(NEW).sealing_key(), ring(OLD).sealing_key()]);
        }
        let check = |text: &str, expected: InvalidKeys| assert_eq!(KeyRing::parse(text).unwrap_err(), expected);
        check("", InvalidKeys::None);
        check("# only a comment", InvalidKeys::None);
        check(&NEW[1..], InvalidKeys::Form { number: 1 });
        check(&format!("{NEW} {}g", &OLD[1..]), InvalidKeys::Form { number: 2 });
        check(&"0".repeat(64), InvalidKeys::Weak { number: 1 });
        check(&vec![NEW; 17].join("\n"), InvalidKeys::Many);
        assert!(ring(KeyRing::generate(Entropy).expose_secret()).names().count() == 1);
    }

    #[test]
    fn errors_and_debug_forms_show_no_key() {
        let secret = &NEW[..63];
        assert!(!KeyRing::parse(secret).unwrap_err().to_string().contains(secret));
        assert!(!format!("{:?}", ring(NEW)).contains(&NEW[..16]));
    }
}
