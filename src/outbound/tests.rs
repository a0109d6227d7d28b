//! Every gate in front of users' URLs, as a table of attacks and a few real requests on loopback.

use super::*;

/// URLs that must be refused before any look-up.
const ATTACKS: [&str; 72] = [
    "http://127.0.0.1/",
    "http://127.0.0.1:8080/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://１２７.０.０.１/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://%31%32%37.0.0.1/",
    "http://user@127.0.0.1/",
    "http://user:password@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://example.com%40@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "  http://127.0.0.1/  ",
    "ht\ntp://127.0.0.1/",
    "HTTP://127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://127.255.255.254/",
    "http://0.0.0.0/",
    "http://0/",
    "http://0.1.2.3/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://167772161/",
    "http://100.64.0.1/",
    "http://100.127.255.254/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0251.0376.0251.0376/",
    "http://169.254.170.2/v2/credentials",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.0.0.1/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://192.168.0.1/",
    "http://3232235521/",
    "http://198.18.0.1/",
    "http://198.19.255.255/",
    "http://198.51.100.7/",
    "http://203.0.113.7/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:c0a8:101::1]/",
    "http://[2001:db8::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
];

#[test]
fn every_form_of_a_forbidden_address_is_refused() {
    let rules = Rules::default();
    for attack in ATTACKS {
        let refused = rules.check_url(attack);
        assert!(matches!(refused, Err(Error::Denied(_))), "{attack}: {refused:?}");
    }
}

#[test]
fn other_schemes_ports_and_broken_texts_are_refused() {
    let rules = Rules { allow_private: true, allow_cidrs: Vec::new() };
    for text in [
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com:6379/_FLUSHALL",
        "dict://example.com/",
        "ldap://example.com/",
        "jar:http://example.com!/",
        "data:text/xml,<Response/>",
        "javascript:alert(1)",
        "blob:http://example.com/1",
        "//example.com/",
        "/relative",
        "",
        "http://",
        "http://[::1",
        "http://exa mple.com/",
        "http://1.2.3.4.5/",
        "http://256.256.256.256/",
    ] {
        assert!(matches!(rules.check_url(text), Err(Error::InvalidUrl(_))), "{text}");
    }
    for port in [1, 22, 25, 110, 1023, 2375, 2379, 3306, 5432, 6379, 9200, 11_211, 27_017] {
        let url = format!("http://example.com:{port}/");
        assert_eq!(rules.check_url(&url), Err(Error::PortDenied(port)));
    }
    let long = format!("http://example.com/{}", "a".repeat(URL_LIMIT));
    assert!(matches!(rules.check_url(&long), Err(Error::InvalidUrl(_))));
}

#[test]
fn public_addresses_and_names_pass() {
    let rules = Rules::default();
    for url in [
        "https://example.com/voice?x=1",
        "http://example.com:8080/",
        "https://user:password@example.com/",
        "http://93.184.216.34/",
        "http://[2606:4700::1111]/",
        "http://172.32.0.1/",
        "http://100.128.0.1/",
        "http://[::ffff:93.184.216.34]/",
    ] {
        assert!(rules.check_url(url).is_ok(), "{url}");
    }
}

#[test]
fn private_networks_can_be_allowed_and_special_ones_only_by_name() {
    let private = Rules { allow_private: true, allow_cidrs: Vec::new() };
    for url in ["http://127.0.0.1:8080/", "http://10.1.2.3/", "http://[::1]/", "http://[fd12::1]/"] {
        assert!(private.check_url(url).is_ok(), "{url}");
    }
    for url in ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[fe80::1]/", "http://0.0.0.0/"] {
        assert!(matches!(private.check_url(url), Err(Error::Denied(Denied::Special(_)))), "{url}");
    }
    let named = Rules { allow_private: false, allow_cidrs: vec!["169.254.169.0/24".parse().unwrap()] };
    assert!(named.check_url("http://169.254.169.254/").is_ok());
    assert!(named.check_url("http://[::ffff:169.254.169.254]/").is_ok());
    assert!(named.check_url("http://10.0.0.1/").is_err());
}

#[test]
fn refusals_say_which_setting_allows_it() {
    let message = |url: &str| Rules::default().check_url(url).unwrap_err().to_string();
    assert!(message("http://192.168.1.5/").contains("SWITCHHOOK_OUTBOUND_ALLOW_PRIVATE=true"));
    assert!(message("http://169.254.1.5/").contains("SWITCHHOOK_OUTBOUND_ALLOW_CIDRS"));
}

#[test]
fn blocks_are_read_and_compared() {
    for (block, inside, outside) in [
        ("10.0.0.0/8", "10.9.9.9", "11.0.0.0"),
        ("192.168.7.9", "192.168.7.9", "192.168.7.8"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("::/0", "ff::1", "1.2.3.4"),
        ("fd00::/8", "fdff::1", "fc00::1"),
    ] {
        let block: Cidr = block.parse().unwrap();
        assert!(block.contains(inside.parse().unwrap()), "{block} {inside}");
        assert!(!block.contains(outside.parse().unwrap()), "{block} {outside}");
    }
    for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "host/8", "10.0.0.0/x", "10.0.0.0/-1"] {
        assert!(text.parse::<Cidr>().is_err(), "{text}");
    }
}

#[test]
fn only_allowed_addresses_of_a_name_remain() {
    let addresses: Vec<SocketAddr> =
        ["10.0.0.1:0", "93.184.216.34:0", "[::1]:0"].iter().map(|text| text.parse().unwrap()).collect();
    let rules = Rules::default();
    assert_eq!(allowed_addresses(&rules, "mixed", &addresses), Ok(vec![addresses[1]]));
    assert!(matches!(allowed_addresses(&rules, "inner", &addresses[..1]), Err(Denied::Private(_))));
    assert!(matches!(allowed_addresses(&rules, "empty", &[]), Err(Denied::NoAddress(_))));
}

/// A listener on loopback that counts requests and answers what the path asks for.
async fn sink() -> (SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
    use axum::response::IntoResponse as _;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let hits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&hits);
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            match request.uri().path() {
                "/redirect" => (axum::http::StatusCode::FOUND, [("location", "/landed")]).into_response(),
                "/large" => "x".repeat(BODY_LIMIT + 1).into_response(),
                "/never" => std::future::pending().await,
                "/busy" => axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
                _ => ([("content-type", "Text/XML; charset=utf-8")], "<Response/>").into_response(),
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, hits)
}

async fn get(outbound: &Outbound, url: &str) -> Result<Answer, Error> {
    outbound.send(&Request { method: Method::GET, url, form: &[], headers: &[] }).await
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_refused_without_a_connection() {
    let (address, hits) = sink().await;
    let outbound = Outbound::new(Rules::default(), Duration::from_secs(5)).unwrap();
    let refused = get(&outbound, &format!("http://localhost:{}/", address.port())).await;
    assert!(matches!(refused, Err(Error::Denied(Denied::Private(_)))), "{refused:?}");
    assert_eq!(hits.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn allowed_answers_come_back_bounded_and_without_following_redirects() {
    let (address, _) = sink().await;
    let rules = Rules { allow_private: true, allow_cidrs: Vec::new() };
    let outbound = Outbound::new(rules.clone(), Duration::from_secs(5)).unwrap();
    let answer = get(&outbound, &format!("http://localhost:{}/", address.port())).await.unwrap();
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/xml"));
    assert_eq!(answer.body, b"<Response/>");
    assert_eq!(get(&outbound, &format!("http://{address}/redirect")).await.unwrap().status, 302);
    assert_eq!(get(&outbound, &format!("http://{address}/large")).await, Err(Error::TooLarge));

    let hasty = Outbound::new(rules, Duration::from_millis(20)).unwrap();
    assert!(matches!(get(&hasty, &format!("http://{address}/never")).await, Err(Error::Timeout(_))));
}

/// A listener on loopback whose answers begin with `head`, and then never end, or break off.
async fn endless(head: &'static str, breaks: bool) -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1_024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
            if !breaks {
                open.push(stream);
            }
        }
    });
    address
}

#[tokio::test]
async fn where_only_the_status_counts_the_body_may_be_long_endless_or_broken() {
    let rules = Rules { allow_private: true, allow_cidrs: Vec::new() };
    let outbound = Outbound::new(rules, Duration::from_secs(20)).unwrap();
    let (large, _) = sink().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin";
    let refusal = "HTTP/1.1 500 Broken\r\ncontent-length: 100\r\n\r\nbegin";
    for (url, status, kept) in [
        (format!("http://{large}/large"), 200, BODY_LIMIT),
        (format!("http://{}/", endless(head, false).await), 200, 5),
        (format!("http://{}/", endless(head, true).await), 200, 5),
        (format!("http://{}/", endless(refusal, false).await), 500, 5),
    ] {
        let request = Request { method: Method::POST, url: &url, form: &[], headers: &[] };
        let answer = outbound.deliver(&request, Duration::from_secs(10)).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (status, kept), "{url}");
    }
    // Where the body matters it has to be there.
    let broken = format!("http://{}/", endless(head, true).await);
    assert!(matches!(get(&outbound, &broken).await, Err(Error::Unreachable(_))));
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let rules = Rules { allow_private: true, allow_cidrs: Vec::new() };
    let outbound = Outbound::new(rules, Duration::from_secs(5)).unwrap();
    assert!(matches!(get(&outbound, &format!("http://{address}/")).await, Err(Error::Unreachable(_))));
}

#[tokio::test]
async fn a_fragment_says_how_often_a_request_is_repeated_and_how_long_it_takes() {
    use std::sync::atomic::Ordering;
    let (address, hits) = sink().await;
    let rules = Rules { allow_private: true, allow_cidrs: Vec::new() };
    let outbound = Outbound::new(rules, Duration::from_secs(5)).unwrap();
    for (path, expected) in [
        ("/busy", 1),
        ("/busy#rc=3", 1),
        ("/busy#rc=3&rp=4xx", 1),
        ("/busy#rc=3&rp=5xx", 4),
        ("/busy#rc=5&rp=all", 6),
        ("/busy#rc=0&rp=all", 1),
        ("/redirect#rc=5&rp=all", 1),
        ("/never#rt=100&rc=2&rp=rt", 3),
        ("/never#rt=100&rc=2", 1),
        // All attempts together.
        ("/never#tt=150&rt=100&rc=5&rp=rt", 2),
    ] {
        let before = hits.load(Ordering::SeqCst);
        let outcome = get(&outbound, &format!("http://{address}{path}")).await;
        assert_eq!(hits.load(Ordering::SeqCst) - before, expected, "{path}: {outcome:?}");
        assert_eq!(matches!(outcome, Err(Error::Timeout(_))), path.starts_with("/never"), "{path}: {outcome:?}");
    }
}

/// A listener whose queue is full, so that further connections hang.
#[cfg(target_os = "linux")]
async fn clogged() -> (tokio::net::TcpListener, Vec<tokio::net::TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut streams = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        streams.push(stream);
        assert!(streams.len() < 1_000, "the queue has no end");
    }
    (listener, streams)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_fragment_says_how_long_a_connection_may_take() {
    let (listener, _streams) = clogged().await;
    let address = listener.local_addr().unwrap();
    let rules = Rules { allow_private: true, allow_cidrs: Vec::new() };
    let outbound = Outbound::new(rules, Duration::from_secs(30)).unwrap();
    for (fragment, least, most) in [("#ct=200&rc=0", 200, 4_000), ("#ct=200&rc=2", 600, 4_000)] {
        let began = crate::clock::Clock::system().instant();
        let outcome = get(&outbound, &format!("http://{address}/{fragment}")).await;
        let Err(Error::Unreachable(message)) = outcome else { panic!("{fragment}: {outcome:?}") };
        assert!(message.contains("200ms"), "{message}");
        let took = began.elapsed().as_millis();
        assert!((least..most).contains(&took), "{fragment}: {took} ms");
    }
    let url = format!("http://{address}/#ct=300");
    let request = Request { method: Method::POST, url: &url, form: &[], headers: &[] };
    let delivered = outbound.deliver(&request, Duration::from_secs(20)).await;
    assert!(matches!(&delivered, Err(Error::Unreachable(message)) if message.contains("300ms")), "{delivered:?}");
}
