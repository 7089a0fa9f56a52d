//! What bounds the loops of kernels.

use naga::{AddressSpace, Block, Expression, Function, Handle, Literal, LocalVariable, MathFunction, Statement};

/// The functions of a module in which a loop's end is known from uniforms and constants alone, its counter's start included.
pub fn bounded_by_uniforms(module: &naga::Module) -> Vec<String> {
    let entries = module.entry_points.iter().map(|entry| (entry.name.clone(), &entry.function, Vec::new()));
    let others = module.functions.iter().map(|(f, function)| {
        (function.name.clone().unwrap_or_default(), function, uniform_arguments(module, f, function.arguments.len()))
    });
    let searches =
        entries.chain(others).map(|(name, function, arguments)| (name, Search { module, function, arguments }));
    searches.filter(|(_, search)| search.finds()).map(|(name, _)| name).collect()
}

/// Which arguments of a function an entry point gives uniforms for.
fn uniform_arguments(module: &naga::Module, called: Handle<Function>, count: usize) -> Vec<bool> {
    let mut uniform = vec![false; count];
    for entry in &module.entry_points {
        let search = Search { module, function: &entry.function, arguments: Vec::new() };
        walk(&entry.function.body, &mut |statement| {
            if let Statement::Call { function, arguments, .. } = statement
                && *function == called
            {
                let given = arguments.iter().map(|&argument| search.is_uniform(argument));
                uniform.iter_mut().zip(given).for_each(|(known, given)| *known |= given);
            }
        });
    }
    uniform
}

fn breaks(block: &Block) -> bool {
    block.iter().any(|statement| matches!(statement, Statement::Break))
}

/// Every statement of a block, however deep.
pub fn walk(block: &Block, see: &mut impl FnMut(&Statement)) {
    block.iter().for_each(|statement| each(statement, see));
}

/// A statement, and every one in it.
pub fn each(statement: &Statement, see: &mut impl FnMut(&Statement)) {
    see(statement);
    match statement {
        Statement::Block(inner) => walk(inner, see),
        Statement::If { accept, reject, .. } => [accept, reject].into_iter().for_each(|b| walk(b, see)),
        Statement::Switch { cases, .. } => cases.iter().for_each(|case| walk(&case.body, see)),
        Statement::Loop { body, continuing, .. } => [body, continuing].into_iter().for_each(|b| walk(b, see)),
        _ => {}
    }
}

struct Search<'a> {
    module: &'a naga::Module,
    function: &'a Function,
    /// Whether an argument is a uniform; an entry point's are not.
    arguments: Vec<bool>,
}

impl Search<'_> {
    fn finds(&self) -> bool {
        let mut found = false;
        walk(&self.function.body, &mut |statement| {
            let Statement::Loop { body, .. } = statement else { return };
            found |= body.iter().any(|statement| match statement {
                Statement::If { condition, accept, reject } => {
                    (breaks(accept) || breaks(reject)) && self.is_uniform(*condition)
                }
                _ => false,
            });
        });
        found
    }

    /// Whether a value comes from uniforms, and from nothing else but constants.
    fn is_uniform(&self, value: Handle<Expression>) -> bool {
        let mut has_uniform = false;
        let (mut open, mut locals) = (vec![value], Vec::new());
        while let Some(next) = open.pop() {
            match &self.function.expressions[next] {
                Expression::Literal(_) | Expression::Constant(_) | Expression::Override(_) => {}
                Expression::ZeroValue(_) => {}
                Expression::FunctionArgument(i) if self.arguments.get(*i as usize) == Some(&true) => has_uniform = true,
                Expression::Load { pointer } => match self.root(*pointer) {
                    Expression::GlobalVariable(variable) => match self.module.global_variables[*variable].space {
                        AddressSpace::Uniform => has_uniform = true,
                        _ => return false,
                    },
                    Expression::LocalVariable(local) if locals.contains(local) => {}
                    Expression::LocalVariable(local) => {
                        locals.push(*local);
                        open.extend(self.stored(*local));
                    }
                    _ => return false,
                },
                Expression::Binary { left, right, .. } => open.extend([*left, *right]),
                // The compiler knows min(x, 0u) to be 0.
                Expression::Math { fun: MathFunction::Min, arg, arg1: Some(arg1), .. }
                    if [arg, arg1].into_iter().any(|&x| self.is_zero(x)) => {}
                Expression::Math { arg, arg1, arg2, arg3, .. } => {
                    open.extend([Some(*arg), *arg1, *arg2, *arg3].into_iter().flatten());
                }
                Expression::Select { condition, accept, reject } => open.extend([*condition, *accept, *reject]),
                Expression::Unary { expr, .. } | Expression::As { expr, .. } => open.push(*expr),
                Expression::AccessIndex { base, .. } => open.push(*base),
                _ => return false,
            }
        }
        has_uniform
    }

    fn is_zero(&self, value: Handle<Expression>) -> bool {
        matches!(self.function.expressions[value], Expression::Literal(Literal::U32(0)))
    }

    /// The variable that a pointer leads into.
    fn root(&self, pointer: Handle<Expression>) -> &Expression {
        match &self.function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.root(*base),
            other => other,
        }
    }

    /// Everything that a variable is given.
    fn stored(&self, local: Handle<LocalVariable>) -> Vec<Handle<Expression>> {
        let mut values: Vec<_> = self.function.local_variables[local].init.into_iter().collect();
        walk(&self.function.body, &mut |statement| {
            if let Statement::Store { pointer, value } = statement
                && matches!(self.root(*pointer), Expression::LocalVariable(to) if *to == local)
            {
                values.push(*value);
            }
        });
        values
    }
}

#[test]
fn uniforms_are_told_from_what_differs_by_invocation() {
    for (head, by_uniforms) in [
        ("var k = 0u; k < p.n; k++", true),
        ("var k = p.n; k > 0u; k--", true),
        ("var k = 1u; k < 4u * p.n; k += p.n", true),
        ("var k = min(id.x, 0u); k < p.n; k++", true),
        ("var k = id.x; k < p.n; k++", false),
        ("var k = 0u; k < 8u; k++", false),
        ("var k = 0u; k < min(p.n, arrayLength(&y)); k++", false),
    ] {
        let text = format!(
            "struct P {{ n: u32 }} @group(0) @binding(0) var<uniform> p: P;
            @group(0) @binding(1) var<storage, read_write> y: array<u32>;
            @compute @workgroup_size(1) fn f(@builtin(global_invocation_id) id: vec3<u32>) {{
                for ({head}) {{ y[k] = k; }}
            }}"
        );
        let module = naga::front::wgsl::parse_str(&text).expect("a kernel");
        assert_eq!(bounded_by_uniforms(&module), if by_uniforms { vec!["f"] } else { vec![] }, "{head}");
    }
}
