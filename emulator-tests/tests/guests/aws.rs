//! As much of an AWS client as these tests need: plain HTTP, and a signature's scope.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::macros::format_description;

/// Bytes of a snapshot's block.
const BLOCK: usize = 512 * 1024;
/// How long a state may take to come: guests boot slowly where many do.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// One account's view of an emulator.
pub struct Aws {
    pub address: SocketAddr,
    pub account: String,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request and reads the answer until the connection ends.
pub fn http(address: SocketAddr, head: &str, body: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let head = format!(
        "{head}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
    let Some(end) = end else {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    let body = bytes.split_off(end + 4);
    assert!(!head.contains("chunked"), "{head}");
    Ok(Answer {
        status: status.unwrap(),
        body,
    })
}

impl Aws {
    fn send(&self, service: &str, method: &str, path: &str, more: &str, body: &[u8]) -> Answer {
        let now = OffsetDateTime::now_utc();
        let day = now
            .format(format_description!("[year][month][day]"))
            .unwrap();
        let time = now
            .format(format_description!("[hour][minute][second]"))
            .unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nX-Amz-Date: {day}T{time}Z\r\nAuthorization: \
             AWS4-HMAC-SHA256 Credential={}/{day}/us-east-1/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=0{more}",
            self.account
        );
        http(self.address, &head, body).unwrap()
    }

    /// Calls an EC2 action; gives the answer, whatever it is.
    pub fn try_ec2(&self, form: &str) -> Answer {
        let form = format!("Version=2016-11-15&{form}");
        let kind = "\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8";
        self.send("ec2", "POST", "/", kind, form.as_bytes())
    }

    /// Calls an EC2 action that has to succeed.
    pub fn ec2(&self, form: &str) -> String {
        let answer = self.try_ec2(form);
        assert_eq!(answer.status, 200, "{form}: {}", answer.text());
        answer.text()
    }

    fn ebs(&self, method: &str, path: &str, more: &str, body: &[u8]) -> serde_json::Value {
        let answer = self.send("ebs", method, path, more, body);
        assert!(answer.status / 100 == 2, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// A snapshot of a file's bytes, without its blocks of zeros, once it is complete.
    pub fn snapshot(&self, file: &Path) -> String {
        let length = file.metadata().unwrap().len();
        let gib = length.div_ceil(1 << 30);
        let json = "\r\nContent-Type: application/json";
        let started = format!("{{\"VolumeSize\":{gib}}}");
        let started = self.ebs("POST", "/snapshots", json, started.as_bytes());
        let id = started["SnapshotId"].as_str().unwrap().to_owned();
        let mut file = File::open(file).unwrap();
        let (mut put, mut block) = (0, vec![0; BLOCK]);
        for index in 0..length.div_ceil(BLOCK as u64) {
            block.fill(0);
            let left = usize::try_from(length - index * BLOCK as u64).unwrap();
            file.read_exact(&mut block[..left.min(BLOCK)]).unwrap();
            if block.iter().all(|byte| *byte == 0) {
                continue;
            }
            let sum = STANDARD.encode(Sha256::digest(&block));
            let more = format!(
                "\r\nx-amz-Checksum: {sum}\r\nx-amz-Checksum-Algorithm: SHA256\r\n\
                 x-amz-Data-Length: {BLOCK}\r\nContent-Type: application/octet-stream"
            );
            self.ebs(
                "PUT",
                &format!("/snapshots/{id}/blocks/{index}"),
                &more,
                &block,
            );
            put += 1;
        }
        let more = format!("\r\nx-amz-ChangedBlocksCount: {put}");
        self.ebs("POST", &format!("/snapshots/completion/{id}"), &more, &[]);
        self.until(
            &format!("Action=DescribeSnapshots&SnapshotId.1={id}"),
            "<status>completed</status>",
        );
        id
    }

    /// An image of a snapshot, once it is available.
    pub fn image(&self, name: &str, snapshot: &str, gib: u32) -> String {
        let made = self.ec2(&format!(
            "Action=RegisterImage&Name={name}&Architecture=x86_64&VirtualizationType=hvm&\
             RootDeviceName=%2Fdev%2Fxvda&EnaSupport=true&BootMode=uefi-preferred&\
             BlockDeviceMapping.1.DeviceName=%2Fdev%2Fxvda&\
             BlockDeviceMapping.1.Ebs.SnapshotId={snapshot}&\
             BlockDeviceMapping.1.Ebs.VolumeSize={gib}&\
             BlockDeviceMapping.1.Ebs.DeleteOnTermination=true"
        ));
        let id = text(&made, "imageId");
        self.until(
            &format!("Action=DescribeImages&ImageId.1={id}"),
            "<imageState>available</imageState>",
        );
        id
    }

    /// Launches an instance; gives its id.
    pub fn launch(&self, image: &str, kind: &str, more: &str) -> String {
        let made = self.ec2(&format!(
            "Action=RunInstances&ImageId={image}&InstanceType={kind}&MinCount=1&MaxCount=1{more}"
        ));
        text(&made, "instanceId")
    }

    /// Lets everybody connect to a port of a security group's instances.
    pub fn open_port(&self, group: &str, port: u16) {
        self.ec2(&format!(
            "Action=AuthorizeSecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=tcp&\
             IpPermissions.1.FromPort={port}&IpPermissions.1.ToPort={port}&\
             IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0"
        ));
    }

    /// Waits until an answer has this in it.
    pub fn until(&self, form: &str, wanted: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.ec2(form);
            if answer.contains(wanted) {
                return answer;
            }
            assert!(Instant::now() < until, "{form}: no {wanted}: {answer}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until an instance is in a state; gives what is said of it then.
    pub fn until_state(&self, instance: &str, state: &str) -> String {
        self.until(
            &format!("Action=DescribeInstances&InstanceId.1={instance}"),
            &format!("<name>{state}</name></instanceState>"),
        )
    }

    /// What an instance's console shows, as `GetConsoleOutput` gives it.
    pub fn console(&self, instance: &str) -> String {
        let answer = self.ec2(&format!("Action=GetConsoleOutput&InstanceId={instance}"));
        let bytes = STANDARD.decode(text(&answer, "output")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The text of the first element of this name.
pub fn text(xml: &str, name: &str) -> String {
    let start = format!("<{name}>");
    let rest = xml.split_once(&start).map(|(_, rest)| rest);
    let inner = rest.and_then(|rest| rest.split_once('<'));
    inner
        .unwrap_or_else(|| panic!("no {name}: {xml}"))
        .0
        .to_owned()
}
