//! The account that an access key belongs to, as LocalStack tells it.
//!
//! LocalStack 4.10 (`localstack/aws/accounts.py`): twelve digits are the account; its own long and
//! temporary keys (`LKIA…`, `LSIA…`) carry the account in base32; AWS's (`AKIA…`, `ASIA…`) carry one
//! too, which LocalStack ignores, so that a real key that strays here never names a real account.

use emulator_protocol::Account;

/// Where an account's number begins in the 40 bits that a key carries.
const OFFSET: u64 = 1 << 39;

/// The account of an access key; `None` if it begins like an account's number and goes on: what
/// LocalStack makes of that is no account.
pub fn account_of(access_key: &str) -> Option<Account> {
    let digits = access_key.bytes().take_while(u8::is_ascii_digit).count();
    if digits >= 12 {
        return Account::parse(access_key);
    }
    let carried = (access_key.starts_with("LKIA") || access_key.starts_with("LSIA"))
        .then(|| decode(access_key.as_bytes()))
        .flatten();
    Some(carried.unwrap_or_else(Account::default_account))
}

/// The account in a key of 20 characters or more: eight base32 digits after the prefix, and the
/// highest bit of the ninth.
fn decode(key: &[u8]) -> Option<Account> {
    if key.len() < 20 {
        return None;
    }
    let carried = key[4..12]
        .iter()
        .try_fold(0, |number, &digit| Some(number << 5 | base32(digit)?))?;
    let number = 2 * carried.checked_sub(OFFSET)? + (base32(key[12])? >> 4);
    Account::from_number(number)
}

/// RFC 4648 section 6, upper case only.
fn base32(digit: u8) -> Option<u64> {
    match digit {
        b'A'..=b'Z' => Some(u64::from(digit - b'A')),
        b'2'..=b'7' => Some(u64::from(digit - b'2') + 26),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The right column is what `get_account_id_from_access_key_id` of LocalStack 4.10.0 returns.
    #[test]
    fn an_access_keys_account_is_the_one_that_localstack_tells() {
        for (key, account) in [
            ("111122223333", "111122223333"),
            ("test", "000000000000"),
            ("", "000000000000"),
            ("12345678901", "000000000000"),
            ("LSIAQAAAAAAAGMKEM7X5", "000000000000"),
            ("LKIARZPUZDIKGB2VALC4", "123456789012"),
            ("LSIARZPUZDIKGB2VALC4", "123456789012"),
            ("LSIARZPUZDIKQB2VALC4", "123456789013"),
            // Real keys are ignored.
            ("AKIARZPUZDIKGB2VALC4", "000000000000"),
            ("ASIARZPUZDIKGB2VALC4", "000000000000"),
            // Too short, not base32, below the offset, above twelve digits.
            ("LSIARZPUZDIKGB2VALC", "000000000000"),
            ("LSIArzpuzdikGB2VALC4", "000000000000"),
            ("LSIARZPUZDIK1B2VALC4", "000000000000"),
            ("LSIAAAAAAAAAGMKEM7X5", "000000000000"),
            ("LSIA77777777GMKEM7X5", "000000000000"),
        ] {
            assert_eq!(account_of(key).unwrap().as_str(), account, "{key}");
        }
        assert_eq!(account_of("1111222233334"), None);
        assert_eq!(account_of("111122223333AKIA"), None);
    }
}
