//! The primitives of the handshake, in the versions that everything else here uses. (Snow's own are a generation older, and
//! would bring a second copy of each.)

use blake2::{Blake2s256, Digest};
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce, Tag};
use curve25519_dalek::montgomery::MontgomeryPoint;
use rustix::rand::{GetRandomFlags, getrandom};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};

const TAG: usize = 16;

/// Knows the one suite that is spoken.
pub(crate) struct Primitives;

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Kernel))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<X25519>::default() as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::<Blake2s>::default() as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::<ChaChaPoly>::default() as Box<dyn Cipher>)
    }
}

/// The kernel's random numbers.
pub(crate) struct Kernel;

impl Random for Kernel {
    fn try_fill_bytes(&mut self, mut rest: &mut [u8]) -> Result<(), Error> {
        while !rest.is_empty() {
            match getrandom(&mut *rest, GetRandomFlags::empty()) {
                Ok(count) => rest = rest.split_at_mut(count).1,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Err(Error::Rng),
            }
        }
        Ok(())
    }
}

/// The public half of a secret key (RFC 7748, section 6.1).
pub(crate) fn public_half(secret: [u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(secret).to_bytes()
}

#[derive(Default)]
struct X25519 {
    secret: [u8; 32],
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        self.public.len()
    }

    fn priv_len(&self) -> usize {
        self.secret.len()
    }

    fn set(&mut self, secret: &[u8]) {
        for (target, byte) in self.secret.iter_mut().zip(secret) {
            *target = *byte;
        }
        self.public = public_half(self.secret);
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut secret = [0; 32];
        random.try_fill_bytes(&mut secret)?;
        self.set(&secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.secret
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public = public.first_chunk::<32>().ok_or(Error::Dh)?;
        let shared = MontgomeryPoint(*public).mul_clamped(self.secret).to_bytes();
        out.first_chunk_mut::<32>().ok_or(Error::Dh)?.copy_from_slice(&shared);
        Ok(())
    }
}

#[derive(Default)]
struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::default();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = self.0.finalize_reset();
        for (target, byte) in out.iter_mut().zip(hash) {
            *target = byte;
        }
    }
}

#[derive(Default)]
struct ChaChaPoly {
    key: [u8; 32],
}

impl ChaChaPoly {
    /// Noise, section 12.3: four bytes of zero, then the number in little endian.
    fn nonce(number: u64) -> Nonce {
        let mut nonce = Nonce::default();
        nonce[4..].copy_from_slice(&number.to_le_bytes());
        nonce
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&Key::from(self.key))
    }
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.key = *key;
    }

    fn encrypt(&self, nonce: u64, authenticated: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        let (sealed, rest) = out.split_at_mut(plain.len());
        let tag = InOutBuf::new(plain, sealed)
            .ok()
            .and_then(|buffer| {
                self.cipher().encrypt_inout_detached(&Self::nonce(nonce), authenticated, buffer).ok()
            })
            // Both have the same length, and a record is far below the cipher's limit of 256 GiB.
            .unwrap_or_default();
        rest[..TAG].copy_from_slice(&tag);
        plain.len() + TAG
    }

    fn decrypt(
        &self,
        nonce: u64,
        authenticated: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let length = sealed.len().checked_sub(TAG).ok_or(Error::Decrypt)?;
        let (sealed, tag) = sealed.split_at(length);
        let tag = Tag::try_from(tag).map_err(|_| Error::Decrypt)?;
        let out = out.get_mut(..length).ok_or(Error::Decrypt)?;
        let buffer = InOutBuf::new(sealed, out).map_err(|_| Error::Decrypt)?;
        self.cipher()
            .decrypt_inout_detached(&Self::nonce(nonce), authenticated, buffer, &tag)
            .map_err(|_| Error::Decrypt)?;
        Ok(length)
    }
}
