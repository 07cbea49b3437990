//! The words of the packing: numbers, texts, lists of pairs.
//!
//! Lists of pairs are written as a count and then, per text, its length and its bytes; numbers are LEB128, seven
//! bits a byte, low bits first. Reading checks every length: a damaged row is an error, never a panic and never a huge
//! allocation.

use creel_webhook::outcome::Pair;

/// Bytes that are not what the codec wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packed column is damaged or was written by a newer version")]
pub(crate) struct Damaged;

/// Writes a number.
pub(super) fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes bytes with their length.
pub(super) fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes pairs with their number.
pub(super) fn pairs<T: AsRef<str>>(out: &mut Vec<u8>, list: &[(T, T)]) {
    number(out, list.len() as u64);
    for (name, value) in list {
        text(out, name.as_ref().as_bytes());
        text(out, value.as_ref().as_bytes());
    }
}

/// Reads packed bytes from their beginning on.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins behind the version, which must be this one.
    pub(super) fn open(bytes: &'a [u8], version: u8) -> Result<Self, Damaged> {
        match bytes.split_first() {
            Some((first, rest)) if *first == version => Ok(Reader { rest }),
            _ => Err(Damaged),
        }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Damaged)?;
            self.rest = rest;
            if shift == 63 && byte > 1 {
                return Err(Damaged);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    /// Reads bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a text.
    pub(super) fn text(&mut self) -> Result<String, Damaged> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Damaged)
    }

    /// Reads pairs.
    pub(super) fn pairs(&mut self) -> Result<Vec<Pair>, Damaged> {
        self.list(|reader| Ok((reader.text()?, reader.text()?)))
    }

    /// Reads a count and then as many entries, each of which takes two bytes at least.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, Damaged>) -> Result<Vec<T>, Damaged> {
        let count = self.number()?;
        // A damaged count can't ask for more memory than the column has.
        if count > self.rest.len() as u64 / 2 {
            return Err(Damaged);
        }
        (0..count).map(|_| read(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_read_back() {
        for value in [0, 1, 0x7f, 0x80, 1 << 35, u64::MAX >> 1, u64::MAX] {
            let mut packed = vec![1];
            number(&mut packed, value);
            assert_eq!(Reader::open(&packed, 1).unwrap().number(), Ok(value));
        }
        let mut beyond = vec![1];
        beyond.extend([0xff; 9]);
        beyond.push(2);
        assert_eq!(Reader::open(&beyond, 1).unwrap().number(), Err(Damaged));
    }
}
