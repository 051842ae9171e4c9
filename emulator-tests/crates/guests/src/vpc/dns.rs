//! The resolver: names of AWS's services, and the guest's own.

use smoltcp::wire::{DnsFlags, DnsOpcode, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode};
use std::net::Ipv4Addr;

/// The resolver's port.
pub(super) const PORT: u16 = 53;
/// How long an answer is good for, as AWS's are.
const TTL_SECONDS: u32 = 60;
/// Bytes of a message's header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;
/// Most bytes of a name as text.
const LONGEST_NAME: usize = 253;
/// A name that was there before: a pointer to the question's.
const POINTER: [u8; 2] = [0xc0, HEADER as u8];
/// The Internet.
const CLASS_IN: [u8; 2] = [0, 1];

/// What the resolver knows.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Where all of AWS's services are.
    pub(super) services: Ipv4Addr,
    /// The guest's own name, `ip-172-31-0-5.ec2.internal`, and address.
    pub(super) own: (String, Ipv4Addr),
}

impl Names {
    /// The address of a name; `None` if there is no such name.
    fn find(&self, name: &str) -> Option<Ipv4Addr> {
        let service = |domain: &str| {
            name.strip_suffix(domain)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        };
        if name == self.own.0 {
            Some(self.own.1)
        } else if service("amazonaws.com") || service("api.aws") {
            Some(self.services)
        } else {
            None
        }
    }

    /// The answer to a message; `None` if it is none that is answered.
    pub(super) fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let asked = DnsPacket::new_checked(message).ok()?;
        if asked.flags().contains(DnsFlags::RESPONSE) {
            return None;
        }
        if asked.opcode() != DnsOpcode::Query {
            return Some(write(&asked, DnsRcode::NotImp, &[], None));
        }
        let Some((question, kind, name)) = question(&asked) else {
            return Some(write(&asked, DnsRcode::FormErr, &[], None));
        };
        Some(match self.find(&name) {
            Some(address) if kind == DnsQueryType::A => {
                write(&asked, DnsRcode::NoError, question, Some(address))
            }
            // There is the name, but nothing of this kind: no AAAA, above all.
            Some(_) => write(&asked, DnsRcode::NoError, question, None),
            None => write(&asked, DnsRcode::NXDomain, question, None),
        })
    }
}

/// The one question of a message: its bytes, its kind, and its name in lower case.
fn question<'a>(asked: &'a DnsPacket<&'a [u8]>) -> Option<(&'a [u8], DnsQueryType, String)> {
    if asked.question_count() != 1 {
        return None;
    }
    let payload = asked.payload();
    let (rest, question) = DnsQuestion::parse(payload).ok()?;
    let mut name = String::new();
    for label in asked.parse_name(question.name) {
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(label.ok()?).to_ascii_lowercase());
        if name.len() > LONGEST_NAME {
            return None;
        }
    }
    Some((&payload[..payload.len() - rest.len()], question.type_, name))
}

/// A message that answers another, with its question and at most one address.
fn write(
    asked: &DnsPacket<&[u8]>,
    code: DnsRcode,
    question: &[u8],
    address: Option<Ipv4Addr>,
) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let mut answer = DnsPacket::new_unchecked(&mut bytes[..]);
    answer.set_transaction_id(asked.transaction_id());
    answer.set_opcode(asked.opcode());
    answer.set_flags(
        DnsFlags::RESPONSE
            | DnsFlags::RECURSION_AVAILABLE
            | asked.flags() & DnsFlags::RECURSION_DESIRED,
    );
    answer.set_question_count(u16::from(!question.is_empty()));
    answer.set_answer_record_count(u16::from(address.is_some()));
    // The code is the lowest four bits of the flags, which smoltcp only reads.
    bytes[3] |= u8::from(code) & 0xf;
    bytes.extend_from_slice(question);
    if let Some(address) = address {
        bytes.extend_from_slice(&POINTER);
        bytes.extend_from_slice(&u16::from(DnsQueryType::A).to_be_bytes());
        bytes.extend_from_slice(&CLASS_IN);
        bytes.extend_from_slice(&TTL_SECONDS.to_be_bytes());
        bytes.extend_from_slice(&4_u16.to_be_bytes());
        bytes.extend_from_slice(&address.octets());
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SERVICES: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 3);
    const OWN: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 5);

    fn names() -> Names {
        Names {
            services: SERVICES,
            own: ("ip-172-31-0-5.ec2.internal".to_owned(), OWN),
        }
    }

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&CLASS_IN);
        bytes
    }

    #[test]
    fn services_have_an_address_and_nothing_else_has() {
        for (name, kind, code, address) in [
            ("sqs.us-east-1.amazonaws.com", 1, 0, Some(SERVICES)),
            ("SQS.us-east-1.AmazonAWS.com", 1, 0, Some(SERVICES)),
            ("vault.s3.eu-west-1.amazonaws.com", 1, 0, Some(SERVICES)),
            ("sts.amazonaws.com", 1, 0, Some(SERVICES)),
            ("ec2.us-east-1.api.aws", 1, 0, Some(SERVICES)),
            ("ip-172-31-0-5.ec2.internal", 1, 0, Some(OWN)),
            // There are no IPv6 addresses, and no service records.
            ("sqs.us-east-1.amazonaws.com", 28, 0, None),
            ("sqs.us-east-1.amazonaws.com", 33, 0, None),
            ("amazonaws.com", 1, 3, None),
            ("notamazonaws.com", 1, 3, None),
            ("x.amazonaws.com.example", 1, 3, None),
            ("crates.io", 1, 3, None),
            ("ip-172-31-0-6.ec2.internal", 1, 3, None),
            ("", 1, 3, None),
        ] {
            let query = query(name, kind);
            let answer = names().answer(&query).unwrap();
            assert_eq!(answer[..2], query[..2], "{name}");
            assert_eq!(answer[2], 0x81, "an answer, recursion desired: {name}");
            assert_eq!(answer[3], 0x80 | code, "{name} {kind}");
            assert_eq!(&answer[HEADER..query.len()], &query[HEADER..]);
            let rest = &answer[query.len()..];
            match address {
                Some(address) => {
                    assert_eq!(answer[7], 1);
                    assert_eq!(rest[..6], [0xc0, 12, 0, 1, 0, 1]);
                    assert_eq!(rest[10..], [&[0, 4], &address.octets()[..]].concat());
                }
                None => assert_eq!((answer[7], rest), (0, &[][..])),
            }
        }
    }

    #[test]
    fn what_is_no_question_is_said_to_be_none() {
        let good = query("sts.amazonaws.com", 1);
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            names().answer(&bytes).map(|answer| answer[3] & 0xf)
        };
        assert_eq!(with(&|bytes| bytes.truncate(11)), None);
        assert_eq!(with(&|bytes| bytes[2] |= 0x80), None, "an answer");
        assert_eq!(with(&|bytes| bytes[2] |= 0x10), Some(4), "a status query");
        assert_eq!(with(&|bytes| bytes[5] = 0), Some(1));
        assert_eq!(with(&|bytes| bytes[5] = 2), Some(1));
        assert_eq!(with(&|bytes| bytes.truncate(20)), Some(1));
        assert_eq!(with(&|bytes| bytes[12] = 0x80), Some(1));
        assert_eq!(with(&|bytes| *bytes.last_mut().unwrap() = 3), Some(1));
        // A name that points at itself, and one that never ends.
        let itself = with(&|bytes| {
            bytes.truncate(HEADER);
            bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        });
        assert_eq!(itself, Some(1));
        let long = with(&|bytes| {
            bytes.truncate(HEADER);
            for _ in 0..100 {
                bytes.extend_from_slice(&[3, b'a', b'b', b'c']);
            }
            bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
        });
        assert_eq!(long, Some(1));
    }
}
