//! What is known of a kernel's numbers: whole ones, where no buffer was read.

use std::rc::Rc;

use Value::Unknown;
use naga::{BinaryOperator, MathFunction, ScalarKind, UnaryOperator};

/// A number, or several, as far as they are known.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Unknown,
    U32(u32),
    I32(i32),
    Bool(bool),
    Parts(Rc<Vec<Value>>),
}
impl Value {
    pub fn part(&self, i: usize) -> Self {
        if let Self::Parts(parts) = self { parts.get(i).cloned().unwrap_or(Unknown) } else { Unknown }
    }

    pub fn index(&self) -> Option<usize> {
        match *self {
            Self::U32(i) => Some(i as usize),
            Self::I32(i) => usize::try_from(i).ok(),
            _ => None,
        }
    }

    /// What holds whichever of two it is.
    pub fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a.clone(),
            (Self::Parts(a), Self::Parts(b)) if a.len() == b.len() => {
                Self::Parts(Rc::new(a.iter().zip(b.iter()).map(|(a, b)| a.or(b)).collect()))
            }
            _ => Unknown,
        }
    }

    /// With another value at a path, all of it unknown where the path is.
    pub fn with(&self, path: &[Option<usize>], value: Self) -> Self {
        match (path, self) {
            ([], _) => value,
            ([Some(first), rest @ ..], Self::Parts(parts)) if *first < parts.len() => {
                let mut parts = parts.to_vec();
                parts[*first] = parts[*first].with(rest, value);
                Self::Parts(Rc::new(parts))
            }
            _ => Unknown,
        }
    }

    /// Part by part, where there are parts.
    pub fn each(&self, f: &impl Fn(&Self) -> Self) -> Self {
        match self {
            Self::Parts(parts) => Self::Parts(Rc::new(parts.iter().map(|x| x.each(f)).collect())),
            x => f(x),
        }
    }

    pub fn both(&self, other: &Self, f: &impl Fn(&Self, &Self) -> Self) -> Self {
        match (self, other) {
            (Self::Parts(a), Self::Parts(b)) => {
                Self::Parts(Rc::new(a.iter().zip(b.iter()).map(|(a, b)| a.both(b, f)).collect()))
            }
            (Self::Parts(a), b) => Self::Parts(Rc::new(a.iter().map(|a| a.both(b, f)).collect())),
            (a, Self::Parts(b)) => Self::Parts(Rc::new(b.iter().map(|b| a.both(b, f)).collect())),
            (a, b) => f(a, b),
        }
    }
}

pub fn unary(op: UnaryOperator, x: &Value) -> Value {
    match (op, x) {
        (UnaryOperator::LogicalNot, Value::Bool(x)) => Value::Bool(!x),
        (UnaryOperator::Negate, Value::I32(x)) => Value::I32(x.wrapping_neg()),
        (UnaryOperator::BitwiseNot, Value::U32(x)) => Value::U32(!x),
        _ => Unknown,
    }
}

pub fn binary(op: BinaryOperator, a: &Value, b: &Value) -> Value {
    use BinaryOperator as Op;
    match (a, b) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) if op == Op::LogicalAnd => Value::Bool(false),
        (Value::Bool(true), _) | (_, Value::Bool(true)) if op == Op::LogicalOr => Value::Bool(true),
        (Value::Bool(a), Value::Bool(b)) => match op {
            Op::LogicalAnd | Op::And => Value::Bool(*a && *b),
            Op::LogicalOr | Op::InclusiveOr => Value::Bool(*a || *b),
            Op::Equal => Value::Bool(a == b),
            Op::NotEqual => Value::Bool(a != b),
            _ => Unknown,
        },
        (Value::U32(x), Value::U32(y)) => whole(op, i64::from(*x), i64::from(*y), |x| Value::U32(x as u32)),
        (Value::I32(x), Value::I32(y)) => whole(op, i64::from(*x), i64::from(*y), |x| Value::I32(x as i32)),
        // Shifts of what has a sign by what has none.
        (Value::I32(x), Value::U32(y)) => whole(op, i64::from(*x), i64::from(*y), |x| Value::I32(x as i32)),
        _ => Unknown,
    }
}

/// Whole numbers of 32 bits, which wrap.
fn whole(op: BinaryOperator, a: i64, b: i64, wrapped: impl Fn(i64) -> Value) -> Value {
    use BinaryOperator as Op;
    match op {
        Op::Add => wrapped(a + b),
        Op::Subtract => wrapped(a - b),
        Op::Multiply => wrapped(a.wrapping_mul(b)),
        // As naga has it: x / 0 = x, x % 0 = 0.
        Op::Divide => wrapped(if b == 0 { a } else { a / b }),
        Op::Modulo => wrapped(if b == 0 { 0 } else { a % b }),
        Op::Equal => Value::Bool(a == b),
        Op::NotEqual => Value::Bool(a != b),
        Op::Less => Value::Bool(a < b),
        Op::LessEqual => Value::Bool(a <= b),
        Op::Greater => Value::Bool(a > b),
        Op::GreaterEqual => Value::Bool(a >= b),
        Op::And => wrapped(a & b),
        Op::InclusiveOr => wrapped(a | b),
        Op::ExclusiveOr => wrapped(a ^ b),
        Op::ShiftLeft => wrapped(a << (b & 31)),
        Op::ShiftRight => wrapped(a >> (b & 31)),
        _ => Unknown,
    }
}

pub fn math(fun: MathFunction, arguments: &[Value]) -> Value {
    let least = |a: &Value, b: &Value| match (a, b) {
        (Value::U32(a), Value::U32(b)) => Value::U32(*a.min(b)),
        (Value::I32(a), Value::I32(b)) => Value::I32(*a.min(b)),
        _ => Unknown,
    };
    let most = |a: &Value, b: &Value| match (a, b) {
        (Value::U32(a), Value::U32(b)) => Value::U32(*a.max(b)),
        (Value::I32(a), Value::I32(b)) => Value::I32(*a.max(b)),
        _ => Unknown,
    };
    match (fun, arguments) {
        (MathFunction::Min, [a, b]) => a.both(b, &least),
        (MathFunction::Max, [a, b]) => a.both(b, &most),
        (MathFunction::Clamp, [x, low, high]) => x.both(low, &most).both(high, &least),
        _ => Unknown,
    }
}

pub fn converted(x: &Value, kind: ScalarKind) -> Value {
    match (x, kind) {
        (Value::U32(_), ScalarKind::Uint) | (Value::I32(_), ScalarKind::Sint) => x.clone(),
        (Value::U32(x), ScalarKind::Sint) => Value::I32(*x as i32),
        (Value::I32(x), ScalarKind::Uint) => Value::U32(*x as u32),
        (Value::Bool(x), ScalarKind::Uint) => Value::U32(u32::from(*x)),
        _ => Unknown,
    }
}
