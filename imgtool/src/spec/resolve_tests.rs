use super::super::{Hostname, parse};
use super::*;

fn file(text: &str) -> SpecFile {
    parse(text, Path::new("image.toml")).unwrap()
}

fn host() -> HostConfig {
    HostConfig {
        kernel: Some("/h/kernel".into()),
        modules: Some("/h/modules".into()),
        stub: Some("/h/stub".into()),
    }
}

fn resolved(text: &str, flags: &Overrides) -> Result<Spec, SpecError> {
    resolve(
        None,
        Some((&file(text), Path::new("dir/image.toml"))),
        flags,
        &host(),
    )
}

#[test]
fn defaults_are_what_the_manual_says() {
    let spec = resolve(
        Some(Path::new("./my_server")),
        None,
        &Overrides::default(),
        &host(),
    )
    .unwrap();
    let expected = Spec {
        input: "./my_server".into(),
        name: "my_server".into(),
        size: Size::Fit { extra: 0 },
        firmware: Firmware::Hybrid,
        kernel: "/h/kernel".into(),
        modules: Some("/h/modules".into()),
        stub: Some("/h/stub".into()),
        extra_cmdline: None,
        app: AppChoice::default(),
        hostname: "my-server".into(),
        add: Vec::new(),
        owner: None,
        max_size: 64 << 30,
        timestamp: 0,
        grow: true,
        label: "root".into(),
    };
    assert_eq!(spec, expected);
}

#[test]
fn a_root_that_does_not_grow_has_room_for_what_is_written_at_boot() {
    let size = |text| resolved(text, &Overrides::default()).unwrap().size;
    let room = Size::Fit { extra: 17 << 20 };
    assert_eq!(size("input = \"app\"\ngrow = false\n"), room);
    assert_eq!(size("input = \"app\"\ngrow = true\n"), Size::default());
    let full = "input = \"app\"\ngrow = false\nsize = \"fit\"\n";
    assert_eq!(size(full), Size::default());
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_host() {
    let text = "input = \"app\"\nname = \"file\"\nsize = \"1GiB\"\nfirmware = \"uefi\"\n\
                kernel = \"k\"\nmodules = \"m\"\nstub = \"/abs/s\"\ncmdline = \"a\"\n\
                user = \"1\"\nowner = \"keep\"\nmax_size = \"1GiB\"\ntimestamp = 5\n\
                hostname = \"h\"\ngrow = false\nlabel = \"l\"\nrestart = \"always\"\n\
                wait_for_network = false\n[env]\nA = \"1\"\n[[add]]\nsource = \"x\"\ntarget = \"/x\"\n";
    let spec = resolved(text, &Overrides::default()).unwrap();
    assert_eq!(spec.input, Path::new("dir/app"));
    assert_eq!(spec.name, "file");
    assert_eq!(spec.size, Size::Exact(1 << 30));
    assert_eq!(spec.firmware, Firmware::Uefi);
    assert_eq!(spec.kernel, Path::new("dir/k"));
    assert_eq!(spec.modules, Some("dir/m".into()));
    assert_eq!(spec.stub, Some("/abs/s".into()));
    assert_eq!(spec.max_size, 1 << 30);
    assert_eq!((spec.timestamp, spec.grow), (5, false));
    assert_eq!((spec.hostname.as_str(), spec.label.as_str()), ("h", "l"));
    assert_eq!(spec.app.restart, super::super::Restart::Always);

    let flags = Overrides {
        name: Some("flag".parse().unwrap()),
        size: Some("+1MiB".parse().unwrap()),
        firmware: Some(Firmware::Hybrid),
        kernel: Some("fk".into()),
        modules: Some("fm".into()),
        stub: Some("fs".into()),
        cmdline: Some("b".parse().unwrap()),
        env: vec!["B=2".parse().unwrap()],
        user: Some("2".parse().unwrap()),
        add: vec!["y:/y".parse().unwrap()],
        owner: Some(OwnerPolicy::Root),
        init: None,
        command: vec!["/run".into()],
        max_size: Some(ByteSize(7)),
        timestamp: Some(9),
    };
    let spec = resolve(
        Some(Path::new("other")),
        Some((&file(text), Path::new("dir/image.toml"))),
        &flags,
        &host(),
    )
    .unwrap();
    let expected = Spec {
        input: "other".into(),
        name: "flag".into(),
        size: Size::Fit { extra: 1 << 20 },
        firmware: Firmware::Hybrid,
        kernel: "fk".into(),
        modules: Some("fm".into()),
        stub: Some("fs".into()),
        extra_cmdline: Some("b".into()),
        app: AppChoice {
            init: None,
            command_line: Some(vec!["/run".into()]),
            entrypoint: None,
            command: None,
            env: vec![("A".into(), "1".into()), ("B".into(), "2".into())],
            user: Some("2".into()),
            working_directory: None,
            restart: super::super::Restart::Always,
            wait_for_network: Some(false),
        },
        hostname: "h".into(),
        add: vec![("dir/x".into(), "/x".into()), ("y".into(), "/y".into())],
        owner: Some(OwnerPolicy::Root),
        max_size: 7,
        timestamp: 9,
        grow: false,
        label: "l".into(),
    };
    assert_eq!(spec, expected);
}

#[test]
fn modules_of_another_kernel_are_not_used() {
    let flags = Overrides {
        kernel: Some("k".into()),
        ..Overrides::default()
    };
    assert_eq!(resolved("input = \"a\"", &flags).unwrap().modules, None);
    let spec = resolved("input = \"a\"\nkernel = \"k\"", &Overrides::default());
    assert_eq!(spec.unwrap().modules, None);
}

#[test]
fn what_is_missing_is_named_with_a_way_out() {
    let nothing = HostConfig::default();
    let resolve = |input: Option<&str>, flags: &Overrides| {
        resolve(input.map(Path::new), None, flags, &nothing)
    };
    let error = resolve(None, &Overrides::default()).unwrap_err();
    assert!(matches!(error, SpecError::NoInput));
    let error = resolve(Some("a"), &Overrides::default()).unwrap_err();
    assert!(matches!(error, SpecError::NoKernel));
    assert!(error.hint().unwrap().contains("linux-image-cloud-amd64"));
    let mut flags = Overrides {
        kernel: Some("k".into()),
        ..Overrides::default()
    };
    for firmware in [Firmware::Hybrid, Firmware::Uefi] {
        flags.firmware = Some(firmware);
        let error = resolve(Some("a"), &flags).unwrap_err();
        assert!(error.to_string().contains(firmware.word()), "{error}");
        assert!(error.hint().unwrap().contains("systemd-boot-efi"));
    }
    flags.firmware = Some(Firmware::Bios);
    flags.stub = Some("s".into());
    assert_eq!(resolve(Some("a"), &flags).unwrap().stub, None);
}

#[test]
fn init_excludes_an_application() {
    for (text, field) in [
        ("command = [\"a\"]", "`command`"),
        ("entrypoint = [\"a\"]", "`entrypoint`"),
        ("user = \"a\"", "`user`"),
        ("working_directory = \"/\"", "`working_directory`"),
        ("restart = \"no\"", "`restart`"),
        ("wait_for_network = true", "`wait_for_network`"),
        ("env = { A = \"1\" }", "`env`"),
    ] {
        let text = format!("input = \"a\"\ninit = \"/sbin/init\"\n{text}");
        let error = resolved(&text, &Overrides::default()).unwrap_err();
        assert!(
            matches!(error, SpecError::InitAndApplication { field: f } if f == field),
            "{text}: {error}"
        );
    }
    let init = "input = \"a\"\ninit = \"/sbin/init\"";
    let flags = Overrides {
        env: vec!["A=1".parse().unwrap()],
        ..Overrides::default()
    };
    assert!(resolved(init, &flags).is_err());
}

#[test]
fn a_command_flag_replaces_the_files_init_and_the_init_flag_its_application() {
    let flags = Overrides {
        command: vec!["/run".into()],
        ..Overrides::default()
    };
    let app = resolved("input = \"a\"\ninit = \"/sbin/init\"", &flags)
        .unwrap()
        .app;
    assert_eq!(app.init, None);
    assert_eq!(app.command_line.unwrap(), ["/run"]);

    let flags = Overrides {
        init: Some("/sbin/init".parse().unwrap()),
        ..Overrides::default()
    };
    let app = resolved("input = \"a\"\ncommand = [\"x\"]\nuser = \"1\"", &flags)
        .unwrap()
        .app;
    let expected = AppChoice {
        init: Some("/sbin/init".into()),
        ..AppChoice::default()
    };
    assert_eq!(app, expected);
}

#[test]
fn a_name_made_from_the_input_is_always_valid() {
    for (input, name, hostname) in [
        ("/a/server", "server", "server"),
        ("server-1.0.tar.gz", "server-1.0", "server-1-0"),
        ("rootfs.tar", "rootfs", "rootfs"),
        ("my app", "my-app", "my-app"),
        (".hidden", "hidden", "hidden"),
        ("ünïcode", "n-code", "n-code"),
        ("..", "image", "image"),
        ("/", "image", "image"),
        (".tar", "image", "image"),
        ("a_", "a_", "a"),
    ] {
        assert_eq!(default_name(Path::new(input)), name, "{input}");
        assert_eq!(default_hostname(name), hostname, "{input}");
    }
}

proptest::proptest! {
    #[test]
    fn any_input_has_a_valid_default_name_and_hostname(input in "\\PC{0,80}") {
        let name = default_name(Path::new(&input));
        name.parse::<Name>().unwrap();
        default_hostname(&name).parse::<Hostname>().unwrap();
    }
}
