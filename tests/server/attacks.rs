//! Users' URLs do not lead into one's own network (`quality.md` 2.5, S3): some two hundred ways to try, and a listener that
//! nobody may reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use switchhook::outbound::{Outbound, Request, Rules};
use tokio::net::TcpListener;

/// Counts connections on this machine, on IPv4 and, where there is any, on IPv6.
struct Sink {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Sink {
    async fn open() -> Self {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let mut listeners = vec![first];
        listeners.extend(TcpListener::bind(("::1", port)).await);
        for listener in listeners {
            let connections = Arc::clone(&connections);
            tokio::spawn(async move {
                while listener.accept().await.is_ok() {
                    connections.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { port, connections }
    }
}

fn request(url: &str) -> Request<'_> {
    Request { method: Method::POST, url, form: &[], headers: &[] }
}

#[tokio::test]
async fn no_url_leads_into_ones_own_network() {
    let sink = Sink::open().await;
    let outbound = Outbound::new(Rules::default(), Duration::from_secs(2)).unwrap();
    // A proxy in the environment is not asked to do it either: such a client has none.
    let text = include_str!("../fixtures/attack-urls.txt");
    let urls: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.replace("{port}", &sink.port.to_string()))
        .collect();
    assert!(urls.len() >= 200, "{}", urls.len());
    let mut attempts = tokio::task::JoinSet::new();
    for url in urls {
        let outbound = outbound.clone();
        attempts.spawn(async move {
            let sent = outbound.send(&request(&url)).await;
            let delivered = outbound.deliver(&request(&url), Duration::from_secs(2)).await;
            (url, sent.is_ok(), delivered.is_ok())
        });
    }
    while let Some(attempt) = attempts.join_next().await {
        let (url, sent, delivered) = attempt.unwrap();
        assert!(!sent && !delivered, "{url:?} got an answer");
    }
    assert_eq!(sink.connections.load(Ordering::SeqCst), 0, "somebody came through");
    // The sink itself works: whoever is allowed gets there.
    let allowed = Outbound::new(Rules { allow_private: true, ..Rules::default() }, Duration::from_secs(1)).unwrap();
    let url = format!("http://127.0.0.1:{}/", sink.port);
    let _ = allowed.send(&request(&url)).await;
    assert!(sink.connections.load(Ordering::SeqCst) > 0);
}

/// Where private networks are allowed, and this machine's own even by name, the server itself is out of reach all the
/// same: a URL cannot make it talk to its own API or metrics.
#[tokio::test]
async fn no_url_leads_back_to_the_server() {
    let sink = Sink::open().await;
    let rules = || Rules { allow_private: true, allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()] };
    let outbound = Outbound::new(rules(), Duration::from_secs(2)).unwrap();
    let listener = format!("0.0.0.0:{}", sink.port).parse().unwrap();
    let outbound = outbound.apart_from(listener);
    let text = include_str!("../fixtures/attack-urls.txt");
    let with_port = text.lines().filter(|line| line.contains("{port}"));
    let names = ["http://localhost:{port}/", "http://localhost.:{port}/", "http://LOCALHOST:{port}/#ct=9000"];
    let urls = with_port.chain(names).map(|line| line.replace("{port}", &sink.port.to_string()));
    let mut attempts = tokio::task::JoinSet::new();
    for url in urls {
        let outbound = outbound.clone();
        attempts.spawn(async move {
            let sent = outbound.send(&request(&url)).await;
            let delivered = outbound.deliver(&request(&url), Duration::from_secs(2)).await;
            (url, sent.is_ok(), delivered.is_ok())
        });
    }
    assert!(attempts.len() > 20, "{}", attempts.len());
    while let Some(attempt) = attempts.join_next().await {
        let (url, sent, delivered) = attempt.unwrap();
        assert!(!sent && !delivered, "{url:?} got an answer");
    }
    assert_eq!(sink.connections.load(Ordering::SeqCst), 0, "somebody came back");
    let refusal = outbound.send(&request(&format!("http://localhost:{}/", sink.port))).await.unwrap_err();
    assert!(refusal.to_string().contains("this server itself"), "{refusal}");
    // Another port of the same machine is not the server.
    let other = Sink::open().await;
    let _ = outbound.send(&request(&format!("http://localhost:{}/", other.port))).await;
    assert!(other.connections.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let sink = Sink::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let target = format!("http://127.0.0.1:{}/", sink.port);
    let router = axum::Router::new().fallback(move |uri: axum::http::Uri| {
        let target = target.clone();
        async move {
            let status = uri.path().trim_start_matches('/').parse().unwrap_or(302);
            (axum::http::StatusCode::from_u16(status).unwrap(), [("location", target)])
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let block = format!("{}/32", address.ip()).parse().unwrap();
    let outbound =
        Outbound::new(Rules { allow_private: false, allow_cidrs: vec![block] }, Duration::from_secs(2)).unwrap();
    for status in [300, 301, 302, 303, 307, 308] {
        let answer = outbound.send(&request(&format!("http://{address}/{status}"))).await.unwrap();
        assert_eq!(answer.status, status);
    }
    assert_eq!(sink.connections.load(Ordering::SeqCst), 0);
}

/// Metadata services and the like need a word of their own, even where private networks are allowed.
#[tokio::test]
async fn private_networks_do_not_include_special_ones() {
    let outbound = Outbound::new(Rules { allow_private: true, ..Rules::default() }, Duration::from_secs(2)).unwrap();
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
    ] {
        let error = outbound.send(&request(url)).await.unwrap_err().to_string();
        assert!(error.contains("SWITCHHOOK_OUTBOUND_ALLOW_CIDRS"), "{url}: {error}");
    }
}
