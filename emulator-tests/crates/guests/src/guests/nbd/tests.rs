use super::*;
use std::io::{Read, Write};
use std::process::Command;

/// A disk in memory, whose second half fails.
struct Memory(Mutex<Vec<u8>>);

const SIZE: usize = 8 << 20;
const GOOD: u64 = 4 << 20;

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(vec![0xa5; SIZE])))
    }

    fn range(offset: u64, length: usize) -> io::Result<std::ops::Range<usize>> {
        if offset + length as u64 > GOOD {
            return Err(ErrorKind::StorageFull.into());
        }
        let start = usize::try_from(offset).unwrap();
        Ok(start..start + length)
    }
}

impl Export for Memory {
    fn size(&self) -> u64 {
        SIZE as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let range = Self::range(offset, buffer.len())?;
        buffer.copy_from_slice(&self.0.lock().unwrap()[range]);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = Self::range(offset, data.len())?;
        self.0.lock().unwrap()[range].copy_from_slice(data);
        Ok(())
    }

    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        let range = Self::range(offset, usize::try_from(length).unwrap())?;
        self.0.lock().unwrap()[range].fill(0);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Served {
    server: Option<Server>,
    dir: tempfile::TempDir,
}

impl Served {
    fn new(export: Arc<dyn Export>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("nbd")).unwrap();
        Self {
            server: Some(Server::start(listener, export).unwrap()),
            dir,
        }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.dir.path().join("nbd")).unwrap()
    }

    fn url(&self) -> String {
        let path = self.dir.path().join("nbd");
        format!("nbd+unix:///{NAME}?socket={}", path.display())
    }
}

#[test]
fn qemu_reads_writes_and_sees_errors() {
    let memory = Memory::new();
    let served = Served::new(memory.clone());
    let io = |commands: &[&str]| {
        let mut io = Command::new("qemu-io");
        io.args(["-f", "raw"]);
        for command in commands {
            io.args(["-c", command]);
        }
        emulator_testing::oracle(io.arg(served.url()))
    };
    let Some(done) = io(&[
        "read -P 0xa5 0 4M",
        "write -P 0x11 1000 3000",
        "write -f -P 0x22 512k 512k",
        "write -z 2M 1M",
        "read -P 0x11 1000 3000",
        "read -P 0x22 512k 512k",
        "read -P 0 2M 1M",
        "read -P 0xa5 3M 1M",
        "flush",
        "length",
    ]) else {
        return;
    };
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{done:?}");
    assert!(!said.contains("failed"), "{said}");
    assert!(said.ends_with("8 MiB\n"), "{said}");
    // An error is that request's alone.
    let done = io(&[
        "write -P 1 6M 1M",
        "write -P 0x33 0 1k",
        "read -P 0x33 0 1k",
    ])
    .unwrap();
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("write failed: No space left on device"),
        "{said}"
    );
    assert!(said.contains("read 1024/1024 bytes"), "{said}");
    assert!(!said.contains("Pattern verification failed"), "{said}");
    assert_eq!(memory.0.lock().unwrap()[..1024], [0x33; 1024]);
    // And it is known by its name.
    let mut list = Command::new("qemu-nbd");
    list.args(["--list", "--socket"])
        .arg(served.dir.path().join("nbd"));
    let listed = emulator_testing::oracle(&mut list).unwrap();
    let said = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.status.success(), "{listed:?}");
    assert!(
        said.contains("export: 'volume'") && said.contains("size:  8388608"),
        "{said}"
    );
}

/// What the server says to this, until it hangs up.
fn answer(said: &[u8]) -> Vec<u8> {
    let served = Served::new(Memory::new());
    let mut stream = served.connect();
    // It may have hung up before all is written.
    let _ = stream.write_all(said);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn option(kind: u32, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u32).to_be_bytes();
    [
        &format::OPTION_MAGIC[..],
        &kind.to_be_bytes(),
        &length,
        data,
    ]
    .concat()
}

fn request(kind: u16, offset: u64, length: u32) -> Vec<u8> {
    let mut bytes = Vec::from(format::REQUEST_MAGIC.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(*b"a cookie");
    bytes.extend(offset.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

#[test]
fn hostile_clients_are_hung_up_on() {
    let hello = [&format::MAGIC[..], &format::OPTION_MAGIC[..], &[0, 3]].concat();
    let flags = [0, 0, 0, 3];
    let chosen = [&flags[..], &option(format::OPT_EXPORT_NAME, b"volume")].concat();
    let told = hello.len() + 10;
    // What it says beyond its greeting, in bytes.
    for (what, said, length) in [
        ("nothing", Vec::new(), hello.len()),
        ("no options", vec![0; 4], hello.len()),
        ("garbage", [&flags[..], &[7; 100]].concat(), hello.len()),
        (
            "an option of 4 GiB",
            [&flags[..], &option(7, &[])[..12], &[0xff; 4]].concat(),
            hello.len(),
        ),
        (
            "another export",
            [&flags[..], &option(format::OPT_EXPORT_NAME, b"other")].concat(),
            hello.len(),
        ),
        (
            "an unknown option",
            [&flags[..], &option(99, b"?")].concat(),
            hello.len() + 20,
        ),
        (
            "the name in a question is longer than the question",
            [&flags[..], &option(format::OPT_GO, &[0xff; 6])].concat(),
            hello.len() + 20,
        ),
        ("a choice", chosen.clone(), told),
        (
            "a request that is none",
            [&chosen[..], &[9; 28]].concat(),
            told,
        ),
        (
            "a write of 4 GiB",
            [&chosen[..], &request(format::CMD_WRITE, 0, u32::MAX)].concat(),
            told,
        ),
        (
            "a read of 4 GiB",
            [&chosen[..], &request(format::CMD_READ, 0, u32::MAX)].concat(),
            told,
        ),
        (
            "a read beyond the end",
            [&chosen[..], &request(format::CMD_READ, u64::MAX, 512)].concat(),
            told + 16,
        ),
        (
            "zeros beyond the end",
            [
                &chosen[..],
                &request(format::CMD_WRITE_ZEROES, 4096, u32::MAX),
            ]
            .concat(),
            told + 16,
        ),
        (
            "an unknown request",
            [&chosen[..], &request(77, 0, 0)].concat(),
            told + 16,
        ),
    ] {
        let answer = answer(&said);
        assert!(answer.starts_with(&hello), "{what}");
        assert_eq!(answer.len(), length, "{what}");
    }
}

#[test]
fn it_ends_when_it_is_dropped() {
    // With nobody there, with a client that says nothing, and with one that has gone.
    for clients in 0..2 {
        let mut served = Served::new(Memory::new());
        let mut held: Vec<UnixStream> = (0..clients).map(|_| served.connect()).collect();
        for stream in &mut held {
            let mut hello = [0; 18];
            stream.read_exact(&mut hello).unwrap();
        }
        served.server = None;
        for stream in &mut held {
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        }
    }
}
