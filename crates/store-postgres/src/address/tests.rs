use super::*;

fn address(text: &str) -> Address {
    text.parse().expect(text)
}

fn error(text: &str) -> AddressError {
    text.parse::<Address>().expect_err(text)
}

#[test]
fn both_forms_say_the_same() {
    let parsed = [
        "postgresql://an%20user:p%40%2F%3Aw@a:5433,[2001:db8::1],c/d?passfile=/p&sslcert=/c&sslkey=/k&sslrootcert=/r",
        r"user='an user' password=p@/:w host=a,2001:db8::1,c port=5433,,5432 dbname = d passfile=/p sslcert=/c sslkey=/k sslrootcert=/r",
        "postgres:///d?host=a,2001:db8::1,c&port=5433,5432,5432&user=an%20user&password=&password=p%40%2F:w&passfile=/p&sslcert=/c&sslkey=/k&sslrootcert=/r",
    ]
    .map(address);
    for address in &parsed {
        assert_eq!(address.to_string(), "postgres://an user@a:5433,[2001:db8::1]:5432,c:5432/d");
        assert_eq!(address.session.get_password(), Some(&b"p@/:w"[..]));
        assert_eq!(address.passfile.as_deref().and_then(|path| path.to_str()), Some("/p"));
        assert_eq!(address.roots, Roots::File("/r".into()));
        let files = CertificateFiles { certificate: "/c".into(), key: "/k".into() };
        assert_eq!(address.certificate, Some(files));
    }
}

#[test]
fn whoever_is_not_on_this_machine_shows_a_certificate() {
    let encryption = |text: &str| address(text).hosts.iter().map(|host| host.encryption).collect::<Vec<_>>();
    use Encryption::{None, VerifyFull};
    assert_eq!(
        encryption(
            "host=localhost,127.0.0.2,::1,::ffff:127.0.0.1,/run/postgresql,db,10.0.0.1,localhost.example"
        ),
        [None, None, None, None, None, VerifyFull, VerifyFull, VerifyFull]
    );
    assert_eq!(encryption("host=localhost hostaddr=10.0.0.1"), [VerifyFull]);
    assert_eq!(encryption("host=db hostaddr=127.0.0.1"), [None]);
    assert_eq!(encryption("host=localhost,/run sslmode=verify-full"), [VerifyFull, None]);
    assert_eq!(encryption("host=db sslmode=disable sslrootcert=system"), [None]);
    for mode in ["allow", "prefer", "require", "verify-ca"] {
        let error = error(&format!("postgres://db/d?sslmode={mode}"));
        assert_eq!(error, AddressError::WeakSslMode { mode });
        let line = error.to_string();
        assert!(line.contains(mode) && line.contains("verify-full") && !line.contains('\n'), "{line}");
    }
    assert_eq!(error("host=db sslmode=full"), AddressError::SslMode);
}

#[test]
fn times_have_the_units_of_libpq() {
    let usual = address("host=db");
    assert_eq!((usual.connect_timeout, usual.keepalives), (CONNECT_TIMEOUT, Some(KEEPALIVES)));
    assert_eq!(usual.tcp_user_timeout, Some(TCP_USER_TIMEOUT));
    let said =
        address("host=db connect_timeout=7 tcp_user_timeout=1500 keepalives_idle=9 keepalives_count=2");
    assert_eq!(said.connect_timeout, Duration::from_secs(7));
    assert_eq!(said.tcp_user_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(said.keepalives, Some(Keepalives { idle: 9, count: 2, ..KEEPALIVES }));
    let none = address("host=db tcp_user_timeout=0 keepalives=0");
    assert_eq!((none.tcp_user_timeout, none.keepalives), (None, None));
    let never = AddressError::Number { name: "connect_timeout", from: 1, to: 60 };
    assert_eq!(error("host=db connect_timeout=0"), never);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (text, expected) in [
        ("", AddressError::NoHost),
        ("postgres:///d", AddressError::NoHost),
        ("host=a,,b", AddressError::NoHost),
        ("somewhere", AddressError::Syntax),
        ("host='a", AddressError::Syntax),
        ("postgres://u:p@ss@h/d", AddressError::StrayAt),
        ("postgres://u:p/ss@h/d", AddressError::StrayAt),
        ("postgres://h/d?user=a@b", AddressError::StrayAt),
        ("postgres://%ff@h/d", AddressError::NotUtf8),
        ("postgres://h:0/d", AddressError::Port),
        ("postgres://[::1]5432/d", AddressError::Port),
        ("host=a,b,c port=1,2", AddressError::Ports),
        ("host=a,b hostaddr=10.0.0.1", AddressError::HostAddr),
        ("hostaddr=db", AddressError::HostAddr),
        ("postgres://h/d?sslmode=disable&ssl_root_cert=/a", AddressError::Unknown { position: 2 }),
        ("host=h sslcert=/c", AddressError::HalfCertificate),
        ("host=h passfile=/p", AddressError::PassfileWithoutUser),
        ("host=h channel_binding=always", AddressError::ChannelBinding),
        ("host=h target_session_attrs=any", AddressError::TargetSessionAttrs),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}
