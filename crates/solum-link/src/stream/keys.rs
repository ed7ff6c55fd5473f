//! The keys by which machines know each other.

use super::primitives::{Kernel, public_half};
use snow::types::Random;
use std::{fmt, io};

/// What one machine proves to others that it is itself by. It is in that machine's image alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// A key that was generated before.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// To be kept.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// What others know it by.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(public_half(self.0))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey")
    }
}

/// What a machine is known by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key that was told.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// To be told.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

/// Both halves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// To be kept.
    pub secret: SecretKey,
    /// To be told.
    pub public: PublicKey,
}

impl KeyPair {
    /// A new one.
    ///
    /// # Errors
    ///
    /// If the kernel has no random numbers.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = [0; 32];
        Kernel
            .try_fill_bytes(&mut bytes)
            .map_err(|_| io::Error::other("the kernel gives no random numbers"))?;
        let secret = SecretKey(bytes);
        Ok(Self { public: secret.public(), secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_what_another_implementation_computes() {
        let public = SecretKey([1; 32]).public().to_bytes();
        assert_eq!(public[..8], 0xA4E0_9292_B651_C278_u64.to_be_bytes());
        assert_eq!(public[24..], 0xF9DC_2B44_09F8_A209_u64.to_be_bytes());
    }

    #[test]
    fn no_two_pairs_are_the_same_and_a_secret_is_not_shown() {
        let [one, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.secret.public(), one.public);
        assert_eq!(format!("{:?}", one.secret), "SecretKey");
    }
}
