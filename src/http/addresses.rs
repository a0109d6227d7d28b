//! Counts the open connections of each address.
//!
//! It must not decide what too many means: the caller hands in the limit. Start with [`Addresses::enter`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Who has how many connections. One entry per address with at least one.
#[derive(Debug, Clone, Default)]
pub struct Addresses(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One connection's place in its address's count; dropping it gives the place back.
#[derive(Debug)]
pub struct AddressPlace {
    addresses: Addresses,
    key: Option<IpAddr>,
}

impl Addresses {
    /// Takes a place for `address`, or returns `None` if it has `limit` of them already.
    pub fn enter(&self, address: IpAddr, limit: usize) -> Option<AddressPlace> {
        let key = network_of(address);
        if let Some(key) = key {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(key).or_default();
            if *count >= limit {
                return None;
            }
            *count += 1;
        }
        Some(AddressPlace { addresses: self.clone(), key })
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&key);
            }
        }
    }
}

/// What one customer is likely to hold: an IPv4 address or a /64 of IPv6. Loopback is nobody's.
fn network_of(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_gets_its_places_and_no_more() {
        let addresses = Addresses::default();
        let first = addresses.enter(address("192.0.2.1"), 2).unwrap();
        let _second = addresses.enter(address("::ffff:192.0.2.1"), 2).unwrap();
        assert!(addresses.enter(address("192.0.2.1"), 2).is_none());
        assert!(addresses.enter(address("192.0.2.2"), 2).is_some());
        drop(first);
        assert!(addresses.enter(address("192.0.2.1"), 2).is_some());
    }

    #[test]
    fn a_network_of_version_6_counts_as_one_and_loopback_not_at_all() {
        let addresses = Addresses::default();
        let _first = addresses.enter(address("2001:db8::1"), 1).unwrap();
        assert!(addresses.enter(address("2001:db8::2"), 1).is_none());
        assert!(addresses.enter(address("2001:db8:0:1::1"), 1).is_some());
        assert!(addresses.enter(address("127.0.0.1"), 0).is_some());
        assert!(addresses.enter(address("::1"), 0).is_some());
    }

    #[test]
    fn a_count_that_falls_to_nothing_is_forgotten() {
        let addresses = Addresses::default();
        drop(addresses.enter(address("192.0.2.1"), 1));
        assert!(addresses.0.lock().unwrap().is_empty());
    }
}
