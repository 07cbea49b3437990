//! The guard by table: every form of every address that a call must not reach.

use super::*;

fn guard(allow: &[&str]) -> Guard {
    Guard::new(allow.iter().map(|entry| entry.parse().unwrap()).collect(), true)
}

/// Lines of a file of cases that are no comments.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn nothing_in_the_tables_can_be_saved() {
    let hosts = lines(include_str!("../../../../tests/cases/guard/hosts.txt"));
    let hosts = hosts.map(|line| format!("https://{}/", line.split_whitespace().next().unwrap()));
    let urls = lines(include_str!("../../../../tests/cases/guard/urls.txt")).map(|line| line.replace("\\t", "\t"));
    let all: Vec<String> = hosts.chain(urls).chain([String::new()]).collect();
    assert!(all.len() >= 120);
    let open = guard(&[]);
    let passed: Vec<_> = all.iter().filter(|url| open.check_literal(url).is_ok()).collect();
    assert!(passed.is_empty(), "saved although it must not: {passed:?}");
}

#[test]
fn the_public_internet_can_be_saved() {
    for url in [
        "https://example.com/hook",
        "https://hooks.slack.com/services/T0/B0",
        "https://8.8.8.8/",
        "https://1.1.1.1:8443/x",
        "https://172.32.0.1/",
        "https://100.128.0.1/",
        "https://[2606:4700:4700::1111]/",
        "https://xn--bcher-kva.example/",
        "HTTPS://Example.com:443/?a=b",
        "https://127.0.0.1.nip.io/",
    ] {
        assert!(guard(&[]).check_literal(url).is_ok(), "{url}");
    }
}

#[test]
fn addresses_are_classified() {
    for (address, range) in [
        ("8.8.8.8", None),
        ("2606:4700::1", None),
        ("127.0.0.2", Some(Range::Loopback)),
        ("172.32.0.0", None),
        ("172.31.0.0", Some(Range::Private)),
        ("169.254.169.253", Some(Range::LinkLocal)),
        ("169.254.169.254", Some(Range::Metadata)),
        ("255.255.255.255", Some(Range::Broadcast)),
        ("250.0.0.1", Some(Range::Reserved)),
        ("::ffff:1.2.3.4", Some(Range::Ipv4Mapped)),
        ("::1.2.3.4", Some(Range::Ipv4Compatible)),
        ("64:ff9b:1:2::3", Some(Range::Nat64)),
        ("2002::1", Some(Range::SixToFour)),
        ("2001:0:1::1", Some(Range::Teredo)),
        ("2001:10::1", Some(Range::Protocol)),
        ("fdff::1", Some(Range::UniqueLocal)),
        ("febf::1", Some(Range::LinkLocal)),
        ("5f00::1", Some(Range::Reserved)),
        ("2606:4700::5efe:a00:1", Some(Range::Isatap)),
        ("2606:4700::200:5efe:808:808", Some(Range::Isatap)),
        ("fe80::5efe:a00:1", Some(Range::LinkLocal)),
    ] {
        assert_eq!(range_of(address.parse().unwrap()), range, "{address}");
    }
}

#[test]
fn the_operator_opens_exactly_what_is_named() {
    let check = |allow: &[&str], target: &str, host: &str| guard(allow).check_addr(target.parse().unwrap(), host, true);
    for (allow, target, host, opened) in [
        (&["127.0.0.1:9000"], "127.0.0.1:9000", "127.0.0.1", true),
        (&["127.0.0.1:9000"], "127.0.0.1:9001", "127.0.0.1", false),
        (&["127.0.0.1"], "127.0.0.1:1", "x.example", true),
        (&["10.1.0.0/16"], "10.1.2.3:80", "crm.internal", true),
        (&["10.1.0.0/16"], "10.2.0.1:80", "crm.internal", false),
        (&["[fd00::/8]:443"], "[fd12::1]:443", "crm.internal", true),
        (&["[fd00::/8]:443"], "[fd12::1]:80", "crm.internal", false),
        (&["crm.internal:8443"], "10.9.9.9:8443", "CRM.internal", true),
        (&["crm.internal:8443"], "10.9.9.9:8443", "evil.internal", false),
        (&["*.internal"], "10.9.9.9:80", "crm.internal", true),
        (&["*.internal"], "10.9.9.9:80", "internal", false),
        (&["*.internal"], "10.9.9.9:80", "crminternal", false),
        (&["crm.internal"], "169.254.169.254:80", "crm.internal", false),
        (&["169.254.0.0/16"], "169.254.169.254:80", "x", false),
        (&["169.254.169.254"], "169.254.169.254:80", "x", true),
        (&["0.0.0.0/0"], "0.0.0.0:80", "x", false),
        (&["0.0.0.0/0"], "224.0.0.1:80", "x", false),
        (&["64:ff9b::/96"], "[64:ff9b::808:808]:443", "x", true),
        (&["64:ff9b::/96"], "[64:ff9b::7f00:1]:443", "x", false),
    ] {
        assert_eq!(check(allow, target, host).is_ok(), opened, "{allow:?} {target} {host}");
    }
}

#[test]
fn plain_http_goes_only_where_it_was_named() {
    let target = "8.8.8.8:80".parse().unwrap();
    assert!(matches!(guard(&[]).check_addr(target, "dns.example", true), Err(Denied::Plain { .. })));
    assert_eq!(guard(&[]).check_addr(target, "dns.example", false), Ok(()));
    assert_eq!(guard(&["dns.example"]).check_addr(target, "dns.example", true), Ok(()));
    assert_eq!(Guard::new(Vec::new(), false).check_addr(target, "dns.example", true), Ok(()));
    assert!(guard(&["127.0.0.1:9000"]).check_literal("http://127.0.0.1:9000/hook").is_ok());
}

#[test]
fn a_refusal_names_the_range_and_the_setting_but_no_credentials() {
    let refusal = guard(&[]).check_literal("https://10.0.0.7:8443/x").unwrap_err().to_string();
    assert_eq!(
        refusal,
        "`10.0.0.7` is a private address, where calls may not go; the operator opens it with `egress.allow = [\"10.0.0.7:8443\"]`"
    );
    let refusal = guard(&["64:ff9b::/96"]).check_literal("https://[64:ff9b::a00:7]/").unwrap_err().to_string();
    assert!(refusal.contains("leads to a private address") && refusal.contains("10.0.0.7:443"), "{refusal}");
    for url in ["https://u:hunter2@x.example/", "ftp://u:hunter2@x/", "https://x y/?k=hunter2"] {
        assert!(!guard(&[]).check_literal(url).unwrap_err().to_string().contains("hunter2"), "{url}");
    }
}

#[test]
fn a_refusal_never_tells_what_a_name_resolved_to() {
    let refusal =
        |address: &str| guard(&[]).check_addr(address.parse().unwrap(), "db.internal", false).unwrap_err().to_string();
    assert_eq!(
        refusal("10.20.30.40:8443"),
        "`db.internal` leads to a private address, where calls may not go; the operator opens it with `egress.allow = [\"db.internal:8443\"]`"
    );
    assert!(guard(&["db.internal:8443"]).check_addr("10.20.30.40:8443".parse().unwrap(), "db.internal", false).is_ok());
    for address in ["[::1]:443", "169.254.169.254:443", "[::ffff:10.20.30.40]:443", "0.0.0.0:443", "[fd00::7]:443"] {
        let told = refusal(address);
        let leaked = ["::1", "169.254", "10.20", "0.0.0", "fd00"].iter().any(|part| told.contains(part));
        assert!(!leaked && told.contains("db.internal"), "{told}");
    }
}

#[test]
fn entries_are_read_and_written_and_odd_ones_refused() {
    for entry in ["10.1.0.0/16", "127.0.0.1/32:9000", "[fd00::/8]:443", "crm.internal", "*.svc.cluster.local:80"] {
        assert_eq!(entry.parse::<AllowEntry>().unwrap().to_string(), entry);
    }
    for entry in
        ["", "*", "*internal", "10.0.0.0/33", "127.1", "0x7f.1", "a b", "host:0", "host:70000", "https://x", "*.*.x"]
    {
        assert!(entry.parse::<AllowEntry>().is_err(), "{entry}");
    }
}
