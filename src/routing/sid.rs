//! Identifiers of everything the routing core knows: two letters and 32 hexadecimal digits.
//!
//! A SID is a newtype over 128 bits in UUIDv7 layout, so that new rows land at the end of an index and the creation
//! order shows. This module must not make SIDs out of nothing: fresh bits come from a [`SidSource`] that the caller
//! hands in. Start with the `sid!` lines.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use super::event_data::FieldValue;
use super::time::Timestamp;

/// Hands out fresh 128-bit identifiers; production uses the entropy of `clock`, tests a seeded sequence.
pub trait SidSource {
    /// Returns 128 bits that were never returned before, in UUIDv7 layout for `now`.
    fn next_bits(&mut self, now: Timestamp) -> u128;
}

/// A text that is not a SID of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SID that begins with {prefix}")]
pub struct InvalidSid {
    /// The two letters that were expected.
    pub prefix: &'static str,
}

fn parse_bits(text: &str, prefix: &'static str) -> Result<u128, InvalidSid> {
    let digits = text.strip_prefix(prefix).ok_or(InvalidSid { prefix })?;
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(InvalidSid { prefix });
    }
    let bits = u128::from_str_radix(digits, 16).map_err(|_| InvalidSid { prefix })?;
    // Those that no SID begins with: they would be taken for another one.
    if bits >> 64 == u128::from(u64::MAX) { Err(InvalidSid { prefix }) } else { Ok(bits) }
}

/// The text form of any SID, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SidText([u8; 34]);

impl SidText {
    /// Prefix and digits, without the general machinery of formatting: events are full of SIDs.
    fn of(prefix: &str, bits: u128) -> Self {
        let mut text = [b'0'; 34];
        let (letters, digits) = text.split_at_mut(2);
        letters.copy_from_slice(&prefix.as_bytes()[..2]);
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bits.to_be_bytes()) {
            *pair = PAIRS[usize::from(byte)];
        }
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[b'0'; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0xf]];
        byte += 1;
    }
    pairs
};

impl fmt::Display for SidText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for SidText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            // Two words, because 128 bits in one are aligned to 16 bytes. The first is kept one greater, so that the
            // absence of a SID takes no room of its own. Both count where many tasks wait.
            high_plus_one: NonZeroU64,
            low: u64,
        }

        impl $name {
            /// The two letters that begin each SID of this kind.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps bits that came from a [`SidSource`] or a seeded test. No SID begins with 64 ones, which would be
            /// a moment beyond the year 10,000: such bits count as if the last of those were a zero.
            #[must_use]
            #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
            pub const fn from_bits(bits: u128) -> Self {
                let high_plus_one = match NonZeroU64::new(((bits >> 64) as u64).wrapping_add(1)) {
                    Some(high_plus_one) => high_plus_one,
                    None => NonZeroU64::MAX,
                };
                Self { high_plus_one, low: bits as u64 }
            }

            /// Takes fresh bits from `sids`.
            pub fn fresh(sids: &mut dyn SidSource, now: Timestamp) -> Self {
                Self::from_bits(sids.next_bits(now))
            }

            /// The 128 bits behind the text form.
            #[must_use]
            pub const fn bits(self) -> u128 {
                ((self.high_plus_one.get() - 1) as u128) << 64 | self.low as u128
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(SidText::from(*self).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl From<$name> for SidText {
            fn from(sid: $name) -> Self {
                Self::of($prefix, sid.bits())
            }
        }

        impl FieldValue for $name {
            fn append_to(self, text: &mut Vec<u8>) {
                text.extend_from_slice(&SidText::from(self).0);
            }
        }

        impl FromStr for $name {
            type Err = InvalidSid;

            fn from_str(text: &str) -> Result<Self, InvalidSid> {
                parse_bits(text, $prefix).map(Self::from_bits)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(SidText::from(*self).as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

sid!(
    /// An account: credentials and the workspaces that belong to them.
    AccountSid,
    "AC"
);
sid!(
    /// An API key of an account.
    ApiKeySid,
    "SK"
);
sid!(
    /// A workspace.
    WorkspaceSid,
    "WS"
);
sid!(
    /// An activity of a workspace.
    ActivitySid,
    "WA"
);
sid!(
    /// A worker.
    WorkerSid,
    "WK"
);
sid!(
    /// A worker's channel.
    WorkerChannelSid,
    "WC"
);
sid!(
    /// A task channel of a workspace.
    TaskChannelSid,
    "TC"
);
sid!(
    /// A task queue.
    TaskQueueSid,
    "WQ"
);
sid!(
    /// A workflow.
    WorkflowSid,
    "WW"
);
sid!(
    /// A task.
    TaskSid,
    "WT"
);
sid!(
    /// A reservation of a worker for a task.
    ReservationSid,
    "WR"
);
sid!(
    /// A transfer of a task from its worker to another worker or a queue.
    TransferSid,
    "TT"
);
sid!(
    /// Opening hours.
    CalendarSid,
    "CL"
);
sid!(
    /// What a number leads to.
    EntryPointSid,
    "EP"
);
sid!(
    /// An event of a workspace.
    EventSid,
    "EV"
);
sid!(
    /// An entry of the alert log.
    AlertSid,
    "NO"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_lower_case() {
        let sid: TaskSid = "WT00000000000000000000000000ABCDEF".parse().unwrap();
        assert_eq!(sid.to_string(), "WT00000000000000000000000000abcdef");
        assert_eq!(sid.to_string().parse::<TaskSid>().unwrap(), sid);
    }

    #[test]
    fn wrong_prefix_length_and_digits_are_refused() {
        for text in ["", "WT", "WK00000000000000000000000000abcdef", "WT0000", "WT+0000000000000000000000000abcde"] {
            assert!(text.parse::<TaskSid>().is_err(), "{text}");
        }
        assert!("WTé000000000000000000000000000abcd".parse::<TaskSid>().is_err());
    }
}
