//! HDF5 files by hand, as <https://docs.hdfgroup.org/archive/support/HDF5/doc/H5.format.html> has them: no library writes such as lie.

/// What stands for no address.
pub const NOWHERE: u64 = u64::MAX;
/// Kinds of messages.
const LINKS: u8 = 2;
const DATATYPE: u8 = 3;
const LINK: u8 = 6;
const LAYOUT: u8 = 8;
const FILTERS: u8 = 11;

/// A message of an object's header.
pub type Message = (u8, Vec<u8>);

/// A file in the making. What stands in it is at the addresses that the calls return.
pub struct File(Vec<u8>);

fn le(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl File {
    pub fn new() -> Self {
        Self(vec![0; 48])
    }

    pub fn push(&mut self, bytes: &[u8]) -> u64 {
        let at = self.0.len() as u64;
        self.0.extend(bytes);
        at
    }

    /// Where the next thing will stand.
    pub fn next(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn header(&mut self, messages: &[Message]) -> u64 {
        let message = |(kind, body): &Message| [&[*kind], &(body.len() as u16).to_le_bytes()[..], &[0], body].concat();
        let all: Vec<u8> = messages.iter().flat_map(message).collect();
        // Sums are not looked at.
        self.push(&[b"OHDR\x02\x02", &(all.len() as u32).to_le_bytes()[..], &all, &[0; 4]].concat())
    }

    pub fn group(&mut self, links: &[(&str, u64)]) -> u64 {
        let messages: Vec<Message> =
            [no_tree()].into_iter().chain(links.iter().map(|&(name, at)| link(name, at))).collect();
        self.header(&messages)
    }

    /// Floats that lie in the file as they are.
    pub fn floats(&mut self, shape: &[u64], at: u64, len: u64) -> u64 {
        self.header(&[space(shape), float(), (LAYOUT, [&[3, 1][..], &le(&[at, len])].concat())])
    }

    /// Floats packed in parts of this shape, of which the file has the first alone.
    pub fn packed(&mut self, shape: &[u64], part: &[u32], packed: &[u8], filters: u8) -> u64 {
        let content = self.push(packed);
        let key = |size: u32, first: u64| {
            let offsets: Vec<u64> = std::iter::once(first).chain(vec![0; shape.len()]).collect();
            [&size.to_le_bytes()[..], &[0; 4], &le(&offsets)].concat()
        };
        let node =
            [b"TREE\x01\x00\x01\x00", &le(&[NOWHERE; 2])[..], &key(packed.len() as u32, 0), &le(&[content])].concat();
        let tree = self.push(&[node, key(0, shape[0])].concat());
        let extents: Vec<u8> = part.iter().chain([&4]).flat_map(|extent| extent.to_le_bytes()).collect();
        let layout = [&[3, 2, shape.len() as u8 + 1][..], &le(&[tree]), &extents].concat();
        let deflate = [&[1, 0, 0, 0, 1, 0][..], &6u32.to_le_bytes()].concat();
        let pipeline = [&[2, filters][..], &deflate.repeat(usize::from(filters))].concat();
        self.header(&[space(shape), float(), (LAYOUT, layout), (FILTERS, pipeline)])
    }

    /// The file with this group for the root.
    pub fn done(mut self, root: u64) -> Vec<u8> {
        let end = self.next();
        let block = [b"\x89HDF\r\n\x1a\n\x02\x08\x08\x00", &le(&[0, NOWHERE, end, root])[..], &[0; 4]].concat();
        self.0[..48].copy_from_slice(&block);
        self.0
    }
}

/// That a group has its links in its header.
pub fn no_tree() -> Message {
    tree_of_links(NOWHERE, NOWHERE)
}

/// Where a group has its links.
pub fn tree_of_links(heap: u64, tree: u64) -> Message {
    (LINKS, [&[0, 0][..], &le(&[heap, tree])].concat())
}

pub fn link(name: &str, at: u64) -> Message {
    (LINK, [&[1, 0, name.len() as u8][..], name.as_bytes(), &le(&[at])].concat())
}

/// A link to a path.
pub fn soft_link(name: &str, path: &str) -> Message {
    let len = (path.len() as u16).to_le_bytes();
    (LINK, [&[1, 8, 1, name.len() as u8][..], name.as_bytes(), &len, path.as_bytes()].concat())
}

pub fn space(shape: &[u64]) -> Message {
    (1, [&[2, shape.len() as u8, 0, 1][..], &le(shape)].concat())
}

pub fn float() -> Message {
    (DATATYPE, vec![0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0])
}

/// A type of numbers of any length, of such, and so on.
pub fn nested_type(depth: usize) -> Message {
    let of_any_length = [0x19, 0, 0, 0, 16, 0, 0, 0];
    (DATATYPE, [of_any_length.repeat(depth), float().1].concat())
}

pub fn layout(at: u64, len: u64) -> Message {
    (LAYOUT, [&[3, 1][..], &le(&[at, len])].concat())
}
