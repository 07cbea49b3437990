//! The guard by table: every form of every address that a call must not reach.

use super::*;

fn guard(allow: &[&str]) -> Guard {
    Guard::new(allow.iter().map(|entry| entry.parse().unwrap()).collect(), true)
}

/// What may not be saved as a destination while nothing is allowed.
const REFUSED: &[&str] = &[
    // loopback, in every way to write it
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/x",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.255.255.254/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7F.0.0.1/",
    "https://0177.0.0.1/",
    "https://0x7f.1/",
    "https://127.0.0.1./",
    "https://127.0x0.1/",
    "https://%31%32%37.0.0.1/",
    "https://127%2e0%2e0%2e1/",
    "https://①②⑦.0.0.1/",
    "https://１２７.０.０.１/",
    "https://127。0。0。1/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://api.localhost/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[0000::0001]:8443/",
    // this host
    "https://0.0.0.0/",
    "https://0/",
    "https://0.1.2.3/",
    "https://[::]/",
    // private and shared
    "https://10.0.0.1/",
    "https://10.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://192.168.257/",
    "https://3232235777/",
    "https://0xc0a80101/",
    "https://100.64.0.1/",
    "https://100.127.255.255/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    // link-local and site-local, with zones
    "https://169.254.1.1/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[fec0::1]/",
    // metadata
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://169.254.170.2/",
    "https://100.100.100.200/",
    "https://192.0.0.192/",
    "https://168.63.129.16/",
    "https://[fd00:ec2::254]/",
    "https://[fd20:ce::254]/",
    // IPv4 inside IPv6
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::8.8.8.8]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    // nobody's
    "https://192.0.0.8/",
    "https://192.0.2.1/",
    "https://198.51.100.7/",
    "https://203.0.113.9/",
    "https://198.18.0.1/",
    "https://192.88.99.1/",
    "https://224.0.0.1/",
    "https://239.255.255.255/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[2001:2::1]/",
    "https://[100::1]/",
    "https://[4000::1]/",
    "https://[ff02::1]/",
    // public, but odd or not a place for calls
    "https://134744072/",
    "https://0x08.8.8.8/",
    "https://8.8.2056/",
    "https://8.8.8.8./",
    "https://example.com./",
    "https://ex%61mple.com/",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1@example.com/",
    "https://256.1.1.1/",
    "https://1.2.3.4.5/",
    "https:///x",
    "https:example.com",
    "https:\\\\example.com/",
    "https://exa mple.com/",
    "https://example.com\t/",
    " https://example.com/",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x",
    "//example.com/",
    "example.com",
    "",
];

#[test]
fn nothing_in_the_table_can_be_saved() {
    assert!(REFUSED.len() >= 60);
    let open = guard(&[]);
    let passed: Vec<_> = REFUSED.iter().filter(|url| open.check_literal(url).is_ok()).collect();
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
