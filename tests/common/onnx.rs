//! ONNX files, written field by field: the part of its protobuf that a transformer needs.
//!
//! Numbers of fields and of types are those of `onnx.proto`.

/// The type of a tensor's numbers.
pub const FLOAT: i64 = 1;
pub const INT64: i64 = 7;

/// A message of protobuf: fields in the order in which they are put.
#[derive(Default, Clone)]
pub struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    /// A whole number.
    pub fn int(mut self, field: u64, value: i64) -> Self {
        self.key(field, 0);
        self.varint(value as u64);
        self
    }

    /// A float.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Bytes or text.
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// A message in this one.
    pub fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, value.0)
    }
}

/// A constant: `TensorProto` with its raw little-endian numbers.
fn tensor(name: &str, dims: &[usize], data_type: i64, raw: Vec<u8>) -> Message {
    let message = dims.iter().fold(Message::default(), |m, &dim| m.int(1, dim as i64));
    message.int(2, data_type).bytes(8, name).bytes(9, raw)
}

/// What an operation is told besides its inputs.
pub enum Attribute<'a> {
    Int(&'a str, i64),
    Float(&'a str, f32),
    Ints(&'a str, &'a [i64]),
}

impl Attribute<'_> {
    /// `AttributeProto`.
    fn message(&self) -> Message {
        match self {
            Self::Float(name, value) => {
                Message::default().bytes(1, name).float(2, *value).int(20, 1)
            }
            Self::Int(name, value) => Message::default().bytes(1, name).int(3, *value).int(20, 2),
            Self::Ints(name, values) => {
                let message = Message::default().bytes(1, name);
                values.iter().fold(message, |m, &value| m.int(8, value)).int(20, 7)
            }
        }
    }
}

/// `GraphProto`, put together.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Message>,
    others: Message,
    names: usize,
}

impl Graph {
    /// A constant of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.add(5, tensor(name, dims, FLOAT, raw));
    }

    /// A constant of whole numbers in one dimension.
    pub fn ints(&mut self, name: &str, values: &[i64]) {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.add(5, tensor(name, &[values.len()], INT64, raw));
    }

    /// An input (`true`) or output, whose dimensions have names or sizes.
    pub fn value(&mut self, input: bool, name: &str, data_type: i64, dims: &[Result<i64, &str>]) {
        let shape = dims.iter().fold(Message::default(), |shape, dim| {
            let dim = match dim {
                Ok(size) => Message::default().int(1, *size),
                Err(name) => Message::default().bytes(2, name),
            };
            shape.message(1, dim)
        });
        let tensor_type = Message::default().int(1, data_type).message(2, shape);
        let info = Message::default()
            .bytes(1, name)
            .message(2, Message::default().message(1, tensor_type));
        self.add(if input { 11 } else { 12 }, info);
    }

    /// An operation with one output, whose name is returned.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        self.names += 1;
        let output = format!("{op}_{}", self.names);
        self.node_named(op, inputs, attributes, &output);
        output
    }

    /// An operation whose output has this name.
    pub fn node_named(&mut self, op: &str, inputs: &[&str], attributes: &[Attribute], name: &str) {
        let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
        let node = node.bytes(2, name).bytes(4, op);
        let node = attributes.iter().fold(node, |node, a| node.message(5, a.message()));
        self.nodes.push(node);
    }

    /// The file: `ModelProto` with the operations of ONNX 17.
    pub fn into_file(self) -> Vec<u8> {
        let graph = self.nodes.into_iter().fold(Message::default(), |g, node| g.message(1, node));
        let mut graph = graph.bytes(2, "tiny");
        graph.0.extend(self.others.0);
        let operations = Message::default().bytes(1, "").int(2, 17);
        Message::default().int(1, 8).message(7, graph).message(8, operations).0
    }

    fn add(&mut self, field: u64, value: Message) {
        self.others = std::mem::take(&mut self.others).message(field, value);
    }
}
