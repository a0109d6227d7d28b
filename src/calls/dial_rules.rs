//! Where legs may be dialled to: the rules against toll fraud (`quality.md` 2.7).
//!
//! Whoever can make the server dial can make its owner pay, so numbers and SIP domains are denied unless the settings
//! name them; clients of the phone system itself cost nothing and are always allowed. Pure: texts in, an answer out.
//! Start with [`DialRules::check`].

use std::fmt;

/// Most entries of the list.
const MOST_RULES: usize = 1_000;
/// Longest entry, and longest address, in bytes.
const LONGEST: usize = 256;
/// How many digits of a number tell its country and region: what calls are counted by, and what messages show of it.
const REGION_DIGITS: usize = 6;

/// Numbers that earn money for whom they belong to: satellites, international networks, and national premium services.
/// An entry of the list allows them only when it names at least the digits here, as written in front of the number.
const EXPENSIVE: &[&str] = &[
    "870", "881", "882", "883", "979", // satellites and international networks
    "1900", "1976", // North America
    "3090", "31900", "31906", "31909", "3290", "3389", "34803", "34806", "34807", "34905", "35315", "3690", "3989",
    "4190", "42090", "43900", "43901", "43930", "43931", "43939", "449", "4590", "46900", "46939", "46944", "4782",
    "4870", "49900", "52900", "55900", "57901", "61190", "64900", "7803", "7809", "81990", "90900", "91900", "9721900",
];

/// What is dialled in front of a number abroad where nobody writes a `+`; a code before what it begins with.
const ACCESS_CODES: &[&str] = &["0011", "00", "011", "010"];
/// Fewest digits of a number abroad: what is shorter and has no `+` is an extension or a service of the place.
const FEWEST_DIGITS: usize = 7;
/// Parameters of a SIP address that say how, and not where to.
const SIP_PARAMETERS: &[&str] =
    &["transport", "user", "lr", "ob", "gr", "secure", "region", "edge", "isub", "cpc", "oli"];

/// How many digits of an expensive number have to be named so that it may be dialled; `None` when it is an ordinary one.
fn digits_to_name(number: &str) -> Option<usize> {
    let bare = number.strip_prefix('+').unwrap_or(number);
    if bare.len() == number.len() && bare.len() < FEWEST_DIGITS {
        return None;
    }
    let named = EXPENSIVE.iter().filter(|costly| bare.starts_with(**costly)).map(|costly| costly.len());
    let behind_code = ACCESS_CODES.iter().filter_map(|code| {
        let rest = bare.strip_prefix(code)?;
        Some(code.len() + digits_to_name(rest)?)
    });
    named.chain(behind_code).max()
}

/// The digits that name the country first, and what follows it, of a number that may be one abroad: however it is written.
fn international(number: &str) -> Option<&str> {
    let bare = number.strip_prefix('+').unwrap_or(number);
    if bare.len() == number.len() && bare.len() < FEWEST_DIGITS {
        return None;
    }
    let mut digits = bare;
    while let Some(rest) = ACCESS_CODES.iter().find_map(|code| digits.strip_prefix(code)) {
        digits = rest;
    }
    Some(digits)
}

/// Writes an address as the phone system dials it: a bare word is a client (`spec/voice.md` pitfall 16).
#[must_use]
pub fn dialable(address: &str) -> String {
    let address = address.trim();
    if address.is_empty() || address.contains(':') || is_number(address) {
        return address.to_owned();
    }
    format!("client:{address}")
}

fn is_number(address: &str) -> bool {
    address.bytes().any(|byte| byte.is_ascii_digit())
        && address.bytes().all(|byte| byte.is_ascii_digit() || b"+*#-(). ".contains(&byte))
}

/// Whether somebody has to pay for a leg to this address, as for everything but a client of the phone system itself.
#[must_use]
pub fn is_metered(address: &str) -> bool {
    !dialable(address).to_ascii_lowercase().starts_with("client:")
}

/// What an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Destination {
    Client,
    /// A SIP address; its host in lower case.
    Sip(String),
    /// Digits, with a `+` before them when it is an international number.
    Number(String),
    /// Nothing that we dial.
    Other,
}

impl Destination {
    fn of(address: &str) -> Self {
        let address = dialable(address);
        if address.len() > LONGEST || address.chars().any(char::is_control) {
            return Self::Other;
        }
        let Some((scheme, rest)) = address.split_once(':') else {
            let digits: String = address.chars().filter(|letter| !"-(). ".contains(*letter)).collect();
            let bare = digits.strip_prefix('+').unwrap_or(&digits);
            let plain = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
            return if plain { Self::Number(digits) } else { Self::Other };
        };
        match scheme.to_ascii_lowercase().as_str() {
            "client" if !rest.is_empty() => Self::Client,
            "sip" | "sips" => host_of(rest).map_or(Self::Other, Self::Sip),
            _ => Self::Other,
        }
    }

    /// What calls to one place are counted by: the region of a number in all its spellings, the host of a SIP address.
    fn region(&self) -> String {
        match self {
            Self::Number(number) => match international(number) {
                Some(digits) => std::iter::once('+').chain(digits.chars().take(REGION_DIGITS)).collect(),
                None => number.clone(),
            },
            Self::Sip(host) => host.clone(),
            Self::Client | Self::Other => String::new(),
        }
    }
}

/// The host of a SIP address without its scheme; `None` when readers of it might not agree which one it is, or when
/// something else in it might lead elsewhere.
fn host_of(rest: &str) -> Option<String> {
    let mut parts = rest.split('@');
    let (first, second, more) = (parts.next()?, parts.next(), parts.next());
    let place = match (second, more) {
        (None, _) => first,
        (Some(place), None) if !first.contains(['?', '/', ';', '<', '>', ' ']) => place,
        _ => return None,
    };
    let (place, headers) = place.split_once('?').map_or((place, None), |(place, headers)| (place, Some(headers)));
    let mut parameters = place.split(';');
    let place = parameters.next()?;
    let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
    let host = host.to_ascii_lowercase();
    let is_plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let leads_there =
        parameters.all(is_harmless_parameter) && headers.is_none_or(|all| all.split('&').all(is_harmless_header));
    (is_plain && is_port && leads_there).then_some(host)
}

/// Whether a parameter of a SIP address leaves it where it leads: `maddr` and what gateways have of their own may not. One
/// that is not known by its name as written is refused, so no other spelling of it gets through.
fn is_harmless_parameter(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let name = name.to_ascii_lowercase();
    let is_known = SIP_PARAMETERS.contains(&name.as_str()) || is_own(&name);
    is_known && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte))
}

/// Whether a header that a SIP address brings along leaves it where it leads: `Route` and its like may not, so only those
/// pass that no proxy acts on.
fn is_harmless_header(header: &str) -> bool {
    let (name, value) = header.split_once('=').unwrap_or((header, ""));
    let name = name.to_ascii_lowercase();
    let in_place = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()[]/?:+$%=".contains(&byte);
    // Another header might begin behind the end of a line.
    let ends_no_line = percent_encoding::percent_decode_str(value).all(|byte| !byte.is_ascii_control());
    (name == "user-to-user" || is_own(&name)) && value.bytes().all(in_place) && ends_no_line
}

/// Whether a name, in lower case, is one of those that everybody may invent.
fn is_own(name: &str) -> bool {
    let own = name.strip_prefix("x-").unwrap_or_default();
    !own.is_empty() && own.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What calls to one place are counted by.
#[must_use]
pub fn region_of(address: &str) -> String {
    Destination::of(address).region()
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// `*`: everything, expensive numbers excepted.
    Any,
    /// `+4930`: every number that begins so.
    Prefix(String),
    /// `1xx`, `+4930xxxxxxx`: numbers of just this form, `x` for any digit.
    Form(String),
    /// `sip:example.org`: this host.
    Sip(String),
    /// `sip:*.example.org`: hosts below this one.
    SipBelow(String),
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text.len() > LONGEST {
            return None;
        }
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(host) = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:")) {
            let (below, host) = host.strip_prefix("*.").map_or((false, host), |host| (true, host));
            let host = host_of(host).filter(|found| found == host)?;
            return Some(if below { Self::SipBelow(host) } else { Self::Sip(host) });
        }
        let bare = text.strip_prefix('+').unwrap_or(&text);
        if !bare.bytes().all(|byte| byte.is_ascii_digit() || byte == b'x') {
            return None;
        }
        match (text.starts_with('+'), bare) {
            (true, bare) if !bare.contains('x') => Some(Self::Prefix(text)),
            (_, "") => None,
            (_, _) => Some(Self::Form(text)),
        }
    }

    fn allows(&self, destination: &Destination) -> bool {
        match (self, destination) {
            (Self::Any, Destination::Number(number)) => digits_to_name(number).is_none(),
            (Self::Any, Destination::Client | Destination::Sip(_)) => true,
            (Self::Prefix(prefix), Destination::Number(number)) => {
                let named = prefix.len() - 1;
                number.starts_with(prefix.as_str()) && digits_to_name(number).is_none_or(|wanted| named >= wanted)
            }
            (Self::Form(form), Destination::Number(number)) => {
                let fits = |(wanted, given): (u8, u8)| wanted == given || (wanted == b'x' && given.is_ascii_digit());
                let named = form.bytes().filter(|byte| *byte != b'+').take_while(|byte| *byte != b'x').count();
                form.len() == number.len()
                    && form.bytes().zip(number.bytes()).all(fits)
                    && digits_to_name(number).is_none_or(|wanted| named >= wanted)
            }
            (Self::Sip(wanted), Destination::Sip(host)) => wanted == host,
            (Self::SipBelow(parent), Destination::Sip(host)) => {
                host.strip_suffix(parent.as_str()).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
            _ => false,
        }
    }
}

/// Where legs may be dialled to besides clients of the phone system; the default is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DialRules(Vec<Rule>);

/// An entry of the list that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// It has no form that we know.
    #[error(
        "expected a prefix such as \"+4930\", a form such as \"1xx\", or a SIP domain such as \"sip:example.org\" or \
         \"sip:*.example.org\", or \"*\" for all, found {0:?}"
    )]
    Form(String),
    /// There are too many.
    #[error("expected at most {MOST_RULES} entries, found {0}")]
    TooMany(usize),
}

/// A destination that the rules do not allow; the text says which entry would, and shows no more of a number than its
/// region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAllowed(Destination);

impl NotAllowed {
    /// Twilio's code of it: 21215 for a number, 32205 for a SIP domain, 21211 for what is no address.
    #[must_use]
    pub const fn code(&self) -> u32 {
        match self.0 {
            Destination::Number(_) | Destination::Client => 21_215,
            Destination::Sip(_) => 32_205,
            Destination::Other => 21_211,
        }
    }
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Destination::Number(number) if number.starts_with('+') => write!(
                formatter,
                "dialling numbers that begin with {number:.shown$} is not allowed: the setting dial.allow \
                 (SWITCHHOOK_DIAL_ALLOW) names the prefixes that are",
                shown = REGION_DIGITS + 1
            ),
            Destination::Number(number) => write!(
                formatter,
                "dialling {} digits without a + is not allowed: the setting dial.allow (SWITCHHOOK_DIAL_ALLOW) names \
                 the forms that are, such as 1xx",
                number.len()
            ),
            Destination::Sip(host) => write!(
                formatter,
                "dialling SIP addresses at {host} is not allowed: the setting dial.allow (SWITCHHOOK_DIAL_ALLOW) names \
                 the domains that are, such as sip:{host}"
            ),
            Destination::Client | Destination::Other => formatter.write_str(
                "expected a number in E.164 form, client: and a name, or sip: and an address with one host, without \
                     parameters or headers that may lead elsewhere",
            ),
        }
    }
}

impl DialRules {
    /// Reads the list of the setting `dial.allow`.
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, InvalidRule> {
        if list.len() > MOST_RULES {
            return Err(InvalidRule::TooMany(list.len()));
        }
        let rule = |text: &T| {
            let text = text.as_ref();
            Rule::parse(text).ok_or_else(|| InvalidRule::Form(text.chars().take(80).collect()))
        };
        list.iter().map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// Whether every ordinary number that begins with this prefix may be dialled.
    #[must_use]
    pub fn covers(&self, prefix: &str) -> bool {
        self.0.iter().any(|rule| match rule {
            Rule::Any => true,
            Rule::Prefix(allowed) => prefix.starts_with(allowed.as_str()),
            _ => false,
        })
    }

    /// Whether a leg may be dialled to this address; empty or blank means that nobody is named, which others notice.
    pub fn check(&self, address: &str) -> Result<(), NotAllowed> {
        let destination = Destination::of(address);
        let named = !address.trim().is_empty();
        let allowed = destination == Destination::Client || self.0.iter().any(|rule| rule.allows(&destination));
        if allowed || !named { Ok(()) } else { Err(NotAllowed(destination)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(rules: &[&str], address: &str) -> bool {
        DialRules::parse(rules).unwrap().check(address).is_ok()
    }

    #[test]
    fn without_rules_only_clients_are_dialled() {
        for address in ["client:alice", "CLIENT:alice", "alice", " client:alice ", "client:a?x=1"] {
            assert!(allowed(&[], address), "{address}");
            assert!(!is_metered(address), "{address}");
        }
        for address in [
            "+15550100",
            "15550100",
            "911",
            "sip:alice@example.org",
            "sips:alice@example.org",
            "tel:+15550100",
            "whatsapp:+15550100",
            "conference:x",
            "client:",
            "*67+15550100",
            "client:alice\r\nX: y",
        ] {
            assert!(!allowed(&[], address), "{address}");
        }
        for address in ["+15550100", "sip:alice@example.org", "tel:+1", "5550100"] {
            assert!(is_metered(address), "{address}");
        }
    }

    #[test]
    fn a_list_names_prefixes_forms_and_domains() {
        let rules = ["+4930", "+1555xxxx", "1xx", "sip:pbx.example.org", "sip:*.branch.example"];
        for address in [
            "+4930123456",
            "+49 (30) 123-456",
            "+15550100",
            "112",
            "sip:1001@pbx.example.org",
            "sips:1001@PBX.example.org:5061;transport=tls",
            "sip:pbx.example.org",
            "sip:a@north.branch.example?x-key=1",
        ] {
            assert!(allowed(&rules, address), "{address}");
        }
        for address in [
            "+493",
            "+498912345",
            "4930123456",
            "+155501000",
            "1122",
            "sip:a@branch.example",
            "sip:a@evilbranch.example",
            "sip:a@pbx.example.org.evil.example",
            "sip:a@evil.example?x=@pbx.example.org",
            "sip:a@evil.example;x=b@pbx.example.org",
            "sip:evil.example;a@pbx.example.org",
            "sip:evil.example/a@pbx.example.org",
            "sip:a@[2001:db8::1]",
            "sip:@",
        ] {
            assert!(!allowed(&rules, address), "{address}");
        }
    }

    #[test]
    fn what_earns_money_for_the_called_has_to_be_named() {
        for costly in EXPENSIVE {
            let number = format!("+{costly}55501");
            assert!(!allowed(&["+"], &number), "{number}");
            assert!(!allowed(&[&format!("+{}", &costly[..costly.len() - 1])], &number), "{number}");
            assert!(allowed(&[&format!("+{costly}")], &number), "{number}");
            for code in ["+", "", "00", "011", "+00", "+011", "0011", "0000", "01100"] {
                let number = format!("{code}{costly}55501");
                assert!(!allowed(&["*", "+"], &number), "{number}");
                // As long as the prefix, and shorter by one.
                assert!(allowed(&[&format!("{code}{costly}xxxxx")], &number), "{number}");
                let short = &costly[..costly.len() - 1];
                assert!(!allowed(&[&format!("{code}{short}xxxxxx")], &number), "{number}");
            }
        }
        for number in
            ["19005551234", "870773111632", "00870773111632", "011870773111632", "449098791234", "+00870773111632"]
        {
            assert!(!allowed(&["*"], number), "{number}");
            assert!(!allowed(&["1xxxxxxxxxx", "xxxxxxxxxxxx", "+"], number), "{number}");
        }
        assert!(allowed(&["1900xxxxxxx"], "19005551234"));
        assert!(allowed(&["00870xxxxxxxxx"], "00870773111632"));
        assert!(allowed(&["+"], "+15550100"));
        for ordinary in ["+15550100", "15550100123", "0015550100", "4930123456", "112", "4490", "011390612345"] {
            assert!(allowed(&["*"], ordinary), "{ordinary}");
        }
        assert!(allowed(&["4xxx"], "4490"), "an extension");
    }

    #[test]
    fn nothing_in_a_sip_address_leads_around_its_host() {
        let rules = ["sip:pbx.example.org"];
        for address in [
            "sip:1@pbx.example.org;transport=TLS;user=phone",
            "sip:1@pbx.example.org:5061;lr?x-key=a%20b&X-Other=%3Csip%3Aa%40b%3E&User-to-User=56a390f3",
            "sip:1@pbx.example.org?x-hash=YWJj==",
        ] {
            assert!(allowed(&rules, address), "{address}");
        }
        for more in [
            ";maddr=203.0.113.9",
            ";MADDR=203.0.113.9",
            ";%6daddr=203.0.113.9",
            ";transport=udp;maddr=203.0.113.9",
            ";transport=udp%3Bmaddr=203.0.113.9",
            ";fs_path=sip:evil.example",
            ";received=sip:evil.example",
            ";alias=203.0.113.9~5060~1",
            ";transport=<sip:evil.example>",
            ";",
            ":5060:5061",
            ":+5060",
            ":x",
            "?Route=%3Csip:evil.example;lr%3E",
            "?x-a=1&route=%3Csip:evil.example%3E",
            "?%52oute=%3Csip:evil.example%3E",
            "?x-a=1%0d%0aRoute:%20%3Csip:evil.example%3E",
            "?x-a%0d%0aRoute=%3Csip:evil.example%3E",
            "?Contact=a&x-a=1",
            "?Refer-To=a",
            "?x-a=1,sip:evil.example",
            "?x-=1",
            "?",
        ] {
            let address = format!("sip:1@pbx.example.org{more}");
            assert!(!allowed(&rules, &address), "{address}");
            assert!(!allowed(&["*"], &address), "{address}");
        }
    }

    #[test]
    fn a_refusal_says_which_setting_allows_it_and_hides_the_number() {
        let refusal = |address| DialRules::default().check(address).unwrap_err();
        assert!(
            refusal("+4930123456789").to_string().contains("begin with +493012 is not allowed: the setting dial.allow")
        );
        assert!(!refusal("+4930123456789").to_string().contains("3456789"));
        assert_eq!(refusal("+4930123456").code(), 21_215);
        assert!(refusal("sip:a@example.org").to_string().contains("such as sip:example.org"));
        assert_eq!(refusal("sip:a@example.org").code(), 32_205);
        assert_eq!(refusal("tel:1").code(), 21_211);
    }

    #[test]
    fn a_prefix_is_covered_by_itself_and_by_what_it_begins_with() {
        let rules = DialRules::parse(&["+4930", "+33xxxxxxxxx"]).unwrap();
        for (prefix, covered) in [("+4930", true), ("+49301", true), ("+493", false), ("+33", false), ("+", false)] {
            assert_eq!(rules.covers(prefix), covered, "{prefix}");
        }
    }

    #[test]
    fn entries_that_are_none_are_refused() {
        for text in ["", "49", "+49x", "1xx", "+", "*", "sip:example.org", "SIP:*.example.org"] {
            let good = !text.is_empty();
            assert_eq!(DialRules::parse(&[text]).is_ok(), good, "{text}");
        }
        for text in ["client:", "alice", "+49-30", "sip:", "sip:*", "sip:a@b", "**", "+4a", "sip:example.org:5060"] {
            assert!(DialRules::parse(&[text]).unwrap_err().to_string().contains("expected a prefix"), "{text}");
        }
        assert!(matches!(DialRules::parse(&vec!["+1"; 1_001]), Err(InvalidRule::TooMany(1_001))));
    }

    #[test]
    fn calls_are_counted_by_region_or_host() {
        for number in [
            "+49 30 123456",
            "0049 30 123456",
            "011 4930123456",
            "0011 4930123456",
            "010 4930123456",
            "49 (30) 123-456",
            "+0049 30 123456",
        ] {
            assert_eq!(region_of(number), "+493012", "{number}");
        }
        assert_eq!(region_of("+4989123456"), "+498912");
        assert_eq!(region_of("15550100"), "+155501");
        assert_eq!(region_of("0301234567"), "+030123", "a number of the place has a region too");
        assert_eq!(region_of("sip:a@Example.org:5061"), "example.org");
        assert_eq!(region_of("112"), "112");
    }
}
