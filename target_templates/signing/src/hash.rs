//! The signature: a password hash, because its cost is real, set by its makers, and cannot be computed faster.

use std::fmt::Write as _;

use argon2::{Algorithm, Argon2, Error, Params, Version};

/// The same for every signature: what is signed here is no secret, and equal requests must cost the same.
const SALT: &[u8] = b"one salt for all";

/// What a signature costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl Cost {
    /// Signs `message` and returns the signature as hexadecimal text. Holds the calling thread for milliseconds of CPU.
    pub fn sign(self, message: &[u8]) -> Result<String, Error> {
        let params = Params::new(self.memory_kib, self.passes, 1, None)?;
        let mut signature = [0; Params::DEFAULT_OUTPUT_LEN];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(message, SALT, &mut signature)?;
        Ok(signature.iter().fold(String::with_capacity(2 * signature.len()), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1 };

    #[test]
    fn the_same_message_has_the_same_signature_and_another_has_another() {
        let [first, again, other] = [&b"pay 5"[..], b"pay 5", b"pay 6"].map(|message| CHEAP.sign(message).unwrap());

        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(first.len(), 64);
    }

    #[test]
    fn the_cost_is_part_of_the_signature() {
        let dearer = [Cost { memory_kib: 16, ..CHEAP }, Cost { passes: 2, ..CHEAP }];

        for cost in dearer {
            assert_ne!(cost.sign(b"pay 5"), CHEAP.sign(b"pay 5"));
        }
    }
}
