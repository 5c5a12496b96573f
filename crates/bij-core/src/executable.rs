//! How the kernel executes a file, decided from its first bytes.

mod registered;

pub use registered::RegisteredFormat;

/// The number of bytes from which the kernel determines a file's format, `#!` line included
/// (`BINPRM_BUF_SIZE` of its binfmts.h, since Linux 5.1).
const HEAD_LEN: usize = 256;

/// The longest chain of scripts that are each other's interpreters (`exec_binprm()` of the kernel's exec.c).
pub const MAX_INTERPRETERS: usize = 5;

/// The format of an executable file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutableFormat {
    /// A script, whose first line names the program that is executed instead.
    Script(Interpreter),
    /// An ELF program (elf(5)).
    Elf {
        /// The machine that it was built for (`e_machine`).
        machine: MachineType,
        /// The program that loads it and its libraries (`PT_INTERP`); `None` if it needs no loader, or if
        /// the name lies beyond the bytes that were read.
        loader: Option<String>,
    },
    /// Another format: the kernel refuses it with `ENOEXEC`, unless the format is registered.
    Other,
}

/// The interpreter that the first line of a script names after `#!` (execve(2), "Interpreter scripts").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The path as written, a carriage return at its end included.
    pub path: String,
    /// The rest of the line, which the kernel passes as one argument.
    pub argument: Option<String>,
}

/// A machine type that programs are built for (`e_machine`, elf(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineType(pub u16);

impl ExecutableFormat {
    /// Reads the format from the first bytes of a file; a few kilobytes are enough.
    pub fn read(head: &[u8]) -> Self {
        if head.starts_with(b"#!") {
            return Interpreter::read(head).map_or(Self::Other, Self::Script);
        }
        Elf::read(head).map_or(Self::Other, |elf| Self::Elf {
            machine: MachineType(elf.machine),
            loader: elf.loader(),
        })
    }
}

impl Interpreter {
    /// Reads the line as `load_script()` of the kernel's `binfmt_script.c` does; blanks are spaces and tabs.
    fn read(head: &[u8]) -> Option<Self> {
        let window = &head[..head.len().min(HEAD_LEN)];
        let line = match window.iter().position(|byte| *byte == b'\n') {
            Some(end) => &window[2..end],
            // The kernel refuses a path that may continue beyond the bytes that it reads.
            None if head.len() >= HEAD_LEN => {
                let line = &window[2..];
                let name = line.iter().position(|byte| !is_blank(*byte))?;
                line[name..].iter().position(|byte| is_end(*byte))?;
                line
            }
            None => &window[2..],
        };
        let start = line.iter().position(|byte| !is_blank(*byte))?;
        let end = line.iter().rposition(|byte| !is_blank(*byte))?;
        let line = &line[start..=end];
        let (path, rest) = match line.iter().position(|byte| is_end(*byte)) {
            Some(end) => line.split_at(end),
            None => (line, &[][..]),
        };
        if path.is_empty() {
            return None;
        }
        let argument =
            rest.iter().position(|byte| !is_end(*byte)).map(|start| text(&rest[start..]));
        Some(Self { path: text(path), argument })
    }

    /// Returns the name that env(1) searches for in `$PATH`, if the interpreter is `env`: its only argument,
    /// or with `-S` the first word that is neither an option nor a variable.
    pub fn env_program(&self) -> Option<&str> {
        if self.path.rsplit('/').next() != Some("env") {
            return None;
        }
        let argument = self.argument.as_deref()?;
        let is_name = |word: &str| !word.starts_with('-') && !word.contains('=');
        match argument.strip_prefix("-S") {
            Some(words) => words.split([' ', '\t']).find(|word| !word.is_empty() && is_name(word)),
            None => Some(argument).filter(|name| is_name(name)),
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

const fn is_end(byte: u8) -> bool {
    is_blank(byte) || byte == 0
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl MachineType {
    const I386: Self = Self(3);
    const ARM: Self = Self(40);
    const X86_64: Self = Self(62);
    const AARCH64: Self = Self(183);
    const RISCV: Self = Self(243);

    /// Returns whether a kernel of this architecture (`std::env::consts::ARCH`) certainly cannot execute
    /// programs for this machine. 64-bit kernels may execute the 32-bit programs of their family.
    pub fn is_foreign_to(self, architecture: &str) -> bool {
        let own: &[Self] = match architecture {
            "x86_64" => &[Self::X86_64, Self::I386],
            "aarch64" => &[Self::AARCH64, Self::ARM],
            "x86" => &[Self::I386, Self::X86_64],
            "arm" => &[Self::ARM, Self::AARCH64],
            "riscv64" => &[Self::RISCV],
            _ => return false,
        };
        !own.contains(&self)
    }
}

impl std::fmt::Display for MachineType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::I386 => f.write_str("x86"),
            Self::ARM => f.write_str("arm"),
            Self::X86_64 => f.write_str("x86_64"),
            Self::AARCH64 => f.write_str("aarch64"),
            Self::RISCV => f.write_str("riscv"),
            Self(number) => write!(f, "machine type {number}"),
        }
    }
}

/// The header of an ELF program (elf(5)).
struct Elf<'a> {
    bytes: &'a [u8],
    is_64_bit: bool,
    is_big_endian: bool,
    machine: u16,
}

/// `p_type` of the segment that holds the loader's path.
const PT_INTERP: u64 = 3;

impl<'a> Elf<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.starts_with(b"\x7fELF") {
            return None;
        }
        let is_64_bit = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let is_big_endian = *bytes.get(5)? == 2;
        let mut elf = Self { bytes, is_64_bit, is_big_endian, machine: 0 };
        elf.machine = u16::try_from(elf.number(18, 2)?).ok()?;
        Some(elf)
    }

    fn loader(&self) -> Option<String> {
        let word = if self.is_64_bit { 8 } else { 4 };
        let (table, size, count) = if self.is_64_bit { (32, 54, 56) } else { (28, 42, 44) };
        let (table, size) = (self.number(table, word)?, self.number(size, 2)?);
        let segment = (0..self.number(count, 2)?)
            .filter_map(|index| index.checked_mul(size)?.checked_add(table))
            .find(|at| self.number(*at, 4) == Some(PT_INTERP))?;
        let (offset, length) = if self.is_64_bit { (8, 32) } else { (4, 16) };
        let from = self.number(segment.checked_add(offset)?, word)?;
        let until = from.checked_add(self.number(segment.checked_add(length)?, word)?)?;
        let path = self.bytes.get(usize::try_from(from).ok()?..usize::try_from(until).ok()?)?;
        let path = path.strip_suffix(b"\0")?;
        (!path.is_empty()).then(|| text(path))
    }

    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.is_big_endian {
            bytes.iter().fold(0, add)
        } else {
            bytes.iter().rev().fold(0, add)
        })
    }
}

#[cfg(test)]
mod tests;
