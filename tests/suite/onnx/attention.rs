//! Attention, and rows by their numbers.

use kiln::graph::{Aggregation, Graph, Id};
use kiln::ops::attention::Attention;
use kiln::ops::binary::Binary;
use kiln::ops::cast::Cast;
use kiln::ops::matmul::MatMul;
use kiln::ops::select::Select;
use kiln::ops::softmax::Softmax;
use kiln::ops::take::Take;
use kiln::{Result, Tensor};

use super::Translation;
use super::call::{Call, on_graph};

pub fn translation(operator: &str) -> Option<Translation> {
    Some(match operator {
        "Attention" => |case, device| on_graph(case, device, attention),
        "Gather" => |case, device| on_graph(case, device, gather),
        _ => return None,
    })
}

/// x as (batch, steps, heads, numbers): of three axes the last is cut into heads, of four the second are the heads.
fn by_steps(call: &mut Call<'_>, x: Id, heads: isize) -> Result<Id> {
    match call.shape(x)[..] {
        [batch, steps, width] => call.reshaped(x, [batch, steps, heads as usize, width / heads as usize]),
        _ => call.transposed(x, [0, 2, 1, 3]),
    }
}

/// The heads of each group repeated for all that share it: (batch, heads, steps, numbers) of (batch, steps, groups, numbers).
fn for_all_heads(call: &mut Call<'_>, x: Id, heads: usize) -> Result<Id> {
    let x = call.transposed(x, [0, 2, 1, 3])?;
    let shape = call.shape(x);
    let [batch, groups, steps, width] = [shape[0], shape[1], shape[2], shape[3]];
    let x = call.reshaped(x, [batch, groups, 1, steps, width])?;
    let ones = call.g.fill(1.0, [batch, groups, heads / groups, steps, width]);
    let x = call.with(Binary::Mul, x, ones)?;
    call.reshaped(x, [batch, heads, steps, width])
}

fn attention(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (q, k, v) = (call.x(0), call.x(1), call.x(2));
    let is_flat = call.shape(q).len() == 3;
    let [of_q, of_k] = ["q_num_heads", "kv_num_heads"].map(|name| call.case.int(name, 0));
    let q = by_steps(call, q, of_q)?;
    let k = by_steps(call, k, of_k)?;
    let v = by_steps(call, v, of_k)?;
    let scale = call.case.number("scale", 1.0 / (call.shape(q)[3] as f64).sqrt());
    let causal = call.case.flag("is_causal");
    let is_bool = call.case.inputs.get(3).and_then(Option::as_ref).is_some_and(|array| array.ty == "bool");
    let [left, right] = ["left_window_size", "right_window_size"].map(|name| call.case.int(name, -1));
    let is_windowed = left >= 0 || right >= 0;
    let y = if call.case.number("softcap", 0.0) == 0.0 && (is_bool || !call.has(3)) {
        let mut mask = if is_bool { Some(mask_of(call)?) } else { None };
        if is_windowed {
            let seen = window(call, [q, k], [left, right])?;
            mask = Some(match mask {
                Some(mask) => call.with(Binary::Mul, mask, seen)?,
                None => seen,
            });
        }
        let y = Attention { causal, ..Attention::new(scale) }.append(&mut call.g, [q, k, v], mask)?;
        mask.map_or(Ok(y), |mask| where_any_counts(call, y, mask, causal))?
    } else {
        assert!(!is_windowed, "no case has a window beside a cap or what is added");
        let y = of_scores(call, [q, k, v], scale, causal)?;
        call.transposed(y, [0, 2, 1, 3])?
    };
    let shape = call.shape(y);
    Ok(vec![if is_flat {
        call.reshaped(y, [shape[0], shape[1], shape[2] * shape[3]])?
    } else {
        call.transposed(y, [0, 2, 1, 3])?
    }])
}

/// y (batch, queries, heads, value), and zero where nothing counts for a query: there the op has the mean, as Keras does.
fn where_any_counts(call: &mut Call<'_>, y: Id, mask: Id, causal: bool) -> Result<Id> {
    let shape = call.shape(mask);
    let (queries, keys) = (call.shape(y)[1], shape[3]);
    let seen = (0..queries * keys).map(|i| f32::from(!causal || i % keys <= i / keys)).collect::<Vec<_>>();
    let seen = call.g.constant(&Tensor::new([queries, keys], seen)?);
    let seen = call.with(Binary::Mul, mask, seen)?;
    let any = call.reduced(Aggregation::Max, seen, Some(&[-1]))?;
    let any = call.transposed(any, [0, 2, 1, 3])?;
    call.with(Binary::Mul, y, any)
}

/// What is within so many places before a query and so many behind it, -1 for all: (1, 1, queries, keys).
fn window(call: &mut Call<'_>, [q, k]: [Id; 2], [left, right]: [isize; 2]) -> Result<Id> {
    let [queries, keys] = [q, k].map(|x| call.shape(x)[1]);
    let is_seen = |i: usize| {
        let (t, j) = ((i / keys) as isize, (i % keys) as isize);
        (left < 0 || j >= t - left) && (right < 0 || j <= t + right)
    };
    let seen = (0..queries * keys).map(|i| f32::from(is_seen(i))).collect::<Vec<_>>();
    Ok(call.g.constant(&Tensor::new([1, 1, queries, keys], seen)?))
}

/// The mask as floats of four axes.
fn mask_of(call: &mut Call<'_>) -> Result<Id> {
    let mask = call.x(3);
    let mask = call.map(Cast::ToFloat, mask)?;
    let shape = call.shape(mask);
    call.reshaped(mask, [&[1; 4][shape.len()..], &shape].concat())
}

/// By products and softmax: scores that are added to, or within a cap.
fn of_scores(call: &mut Call<'_>, [q, k, v]: [Id; 3], scale: f64, causal: bool) -> Result<Id> {
    let heads = call.shape(q)[2];
    let q = call.transposed(q, [0, 2, 1, 3])?;
    let (k, v) = (for_all_heads(call, k, heads)?, for_all_heads(call, v, heads)?);
    let scores = call.g.apply(MatMul::stacked(false, true), &[q, k])?;
    let mut scores = call.number(Binary::Mul, scores, scale)?;
    let low = |g: &mut Graph| g.fill(-1e30, []);
    let cap = call.case.number("softcap", 0.0);
    if cap != 0.0 {
        scores = call.number(Binary::Div, scores, cap)?;
        scores = call.map(kiln::ops::activation::Activate(kiln::ops::activation::Function::Tanh), scores)?;
        scores = call.number(Binary::Mul, scores, cap)?;
    }
    if call.has(3) {
        let mask = call.x(3);
        scores = if call.g.ty(mask).dtype == kiln::tensor::DType::U32 {
            let mask = mask_of(call)?;
            let low = low(&mut call.g);
            call.g.apply(Select, &[mask, scores, low])?
        } else {
            call.with(Binary::Add, scores, mask)?
        };
    }
    if causal {
        let [queries, keys] = [call.shape(scores)[2], call.shape(scores)[3]];
        let seen = (0..queries * keys).map(|i| f32::from(i % keys <= i / keys));
        let seen = call.g.constant(&Tensor::new([queries, keys], seen.collect::<Vec<_>>())?);
        let low = low(&mut call.g);
        scores = call.g.apply(Select, &[seen, scores, low])?;
    }
    let weights = call.map(Softmax, scores)?;
    call.g.apply(MatMul::stacked(false, false), &[weights, v])
}

/// Rows along an axis; numbers below 0 count from the end.
fn gather(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let x = call.x(0);
    let (shape, axis) = (call.shape(x), call.axis(x, call.case.int("axis", 0)));
    let given = call.case.tensor(1).expect("numbers of rows").clone();
    let row = |number: f64| {
        let number = number as u32 as i32;
        if number < 0 { (number + shape[axis] as i32) as f32 } else { number as f32 }
    };
    let rows: Vec<f32> = given.values().to_f64().into_iter().map(row).collect();
    let rows = call.g.constant(&Tensor::new(given.shape().clone(), rows)?);
    let rows = call.map(Cast::ToU32, rows)?;
    let others = (0..shape.len()).filter(|&other| other != axis);
    let order: Vec<usize> = std::iter::once(axis).chain(others).collect();
    let x = call.transposed(x, order)?;
    let y = call.g.apply(Take, &[x, rows])?;
    // The numbers' axes stand first; they go where the axis was.
    let count = given.shape().rank();
    let before: Vec<usize> = (count..count + axis).collect();
    let order: Vec<usize> = before.into_iter().chain(0..count).chain(count + axis..count + shape.len() - 1).collect();
    Ok(vec![call.transposed(y, order)?])
}
