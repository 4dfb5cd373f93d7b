use super::*;

fn refusal(config: Config) -> String {
    config.zenoh().expect_err("it is refused").to_string()
}

#[test]
fn what_leaves_the_host_is_encrypted_or_spelled_out() {
    for endpoint in [
        "tcp/127.0.0.1:7447",
        "tcp/[::1]:7447",
        "tcp/localhost:0",
        "tcp/127.8.8.8:1",
    ] {
        Config::new().listen(endpoint).zenoh().expect(endpoint);
    }
    for endpoint in [
        "tcp/0.0.0.0:7447",
        "tcp/[::]:7447",
        "tcp/10.0.0.1:7447",
        "tcp/left.example:7447",
        "tcp/localhost.example:1",
        "tcp/1.1.1.1:1#iface=lo",
    ] {
        assert!(
            refusal(Config::new().listen(endpoint)).contains("--insecure"),
            "{endpoint}"
        );
        assert!(
            refusal(Config::new().connect(endpoint)).contains("--insecure"),
            "{endpoint}"
        );
        assert!(
            refusal(Config::new().router(endpoint)).contains("--insecure"),
            "{endpoint}"
        );
        Config::new()
            .connect(endpoint)
            .insecure()
            .zenoh()
            .expect(endpoint);
    }
    assert!(refusal(Config::new().listen("tls/0.0.0.0:7447")).contains("--cert"));
    assert!(refusal(Config::new().listen("udp/127.0.0.1:7447")).contains("protocol"));
    assert!(refusal(Config::new().listen("127.0.0.1:7447")).contains("PROTOCOL"));
}

#[test]
fn a_file_of_zenoh_is_held_to_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("zenoh.json5");
    let write = |text: &str| std::fs::write(&path, text).expect("a file");
    for endpoints in [r#"["tcp/0.0.0.0:7447"]"#, r#"{peer: ["tcp/0.0.0.0:7447"]}"#] {
        write(&format!(
            "{{listen: {{endpoints: {endpoints}}}, scouting: {{multicast: {{enabled: true}}}}}}"
        ));
        assert!(
            refusal(Config::new().file(&path)).contains("--insecure"),
            "{endpoints}"
        );
        let config = Config::new()
            .file(&path)
            .insecure()
            .zenoh()
            .expect("it is spelled out");
        assert_eq!(
            config
                .get_json("scouting/multicast/enabled")
                .expect("a setting"),
            "false"
        );
    }
    write("{listen: ");
    assert!(refusal(Config::new().file(&path)).contains("zenoh.json5"));
}

#[test]
fn nothing_is_looked_for_by_itself() {
    let config = Config::new()
        .listen("tcp/127.0.0.1:0")
        .zenoh()
        .expect("a configuration");
    for name in [
        "scouting/multicast/enabled",
        "scouting/gossip/enabled",
        "transport/shared_memory/enabled",
    ] {
        assert_eq!(config.get_json(name).expect(name), "false", "{name}");
    }
    assert_eq!(
        config.get_json("connect/endpoints").expect("endpoints"),
        "[]"
    );
    // Taken as a whole, or not at all.
    assert!(config
        .get_json("connect/retry")
        .expect("retry")
        .contains("200"));
}

#[test]
fn names_that_are_not_given_are_denied() {
    let config = Config::new()
        .listen("tcp/127.0.0.1:0")
        .name("a/b")
        .name("c")
        .from_origin("left")
        .origin_name("right");
    let access = config
        .zenoh()
        .expect("a configuration")
        .get_json("access_control")
        .expect("access control");
    let access: Value = serde_json::from_str(&access).expect("JSON");
    assert_eq!(access["default_permission"], "deny");
    assert_eq!(
        access["rules"][1]["key_exprs"],
        json!([
            "neocortex/default/a/b/o/*/*/left",
            "neocortex/default/a/b/o/*/*/right",
            "neocortex/default/c/o/*/*/left",
            "neocortex/default/c/o/*/*/right",
        ])
    );
    assert_eq!(
        access["rules"][2]["key_exprs"][0],
        "neocortex/default/a/b/v/left"
    );
}

#[test]
fn a_configuration_that_cannot_work_says_why() {
    assert!(refusal(Config::new()).contains("--listen"));
    assert!(refusal(
        Config::new()
            .router("tcp/127.0.0.1:1")
            .listen("tcp/127.0.0.1:2")
    )
    .contains("--router"));
    let files = Config::new().listen("tls/0.0.0.0:7447").certificates(
        "/nowhere/ca.pem",
        "/nowhere/c",
        "/nowhere/k",
    );
    assert!(refusal(files).contains("/nowhere/ca.pem"));
    let error = Config::new()
        .origin_name("a/b")
        .origin()
        .expect_err("it is none");
    assert!(error.to_string().contains("a/b"));
}
