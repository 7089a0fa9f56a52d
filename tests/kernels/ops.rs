//! Every op: kernels and CPU loops against the f64 reference, gradients against finite differences.

use kiln::check::{Finding, check_case, check_gradient, check_ops};
use kiln::device::{Device, Executor};
use kiln::graph::Type;
use kiln::ops::matmul::{MatMul, case_of, epilogues};
use kiln::ops::one_hot::OneHot;
use kiln::ops::take::Take;
use kiln::ops::{Op, all_cases};

fn assert_all_right(device: &Device) {
    let findings = check_ops(device).expect("the device runs");
    let wrong: Vec<&Finding> = findings.iter().filter(|f| f.result.is_err()).collect();
    assert!(wrong.is_empty(), "{device}: {} of {} cases: {wrong:#?}", wrong.len(), findings.len());
    assert!(findings.len() > 100, "{} cases are too few to be all", findings.len());
}

#[test]
fn cpu_loops_match_the_f64_reference() {
    assert_all_right(&Device::cpu());
}

#[cfg(feature = "gpu")]
#[test]
fn kernels_match_the_f64_reference() {
    assert_all_right(&crate::common::adapter());
}

#[cfg(feature = "gpu")]
#[test]
fn the_kernels_of_other_adapters_match_too() {
    let adapter = crate::common::adapter();
    let mut bench = kiln::check::Bench::new(&adapter).unwrap();
    let items = kiln::check::items(&adapter, None, true).unwrap();
    let others: Vec<_> = items.iter().filter(|item| item.kernels.is_some()).collect();
    assert!(others.iter().any(|item| item.op == "matmul"), "products have kernels for either kind");
    for item in others {
        let failures = item.run(&mut bench).unwrap().failures;
        assert!(failures.is_empty(), "{:?}: {failures:?}", item.kernels);
    }
}

#[test]
fn gradients_match_finite_differences() {
    let mut checked = 0;
    for case in all_cases().iter().filter(|c| !c.wrt.is_empty()) {
        let error = check_gradient(case).unwrap_or_else(|e| panic!("{} {}: {e}", case.op.name(), case.label));
        // Central differences of step 1e-5 in f64 are good to about 1e-9 where the op is smooth.
        assert!(error < 1e-7, "{} {}: {error:e} off", case.op.name(), case.label);
        checked += 1;
    }
    assert!(checked > 40, "{checked} cases are too few to be all");
}

/// Products of random shapes, transpositions and epilogues. `KILN_TEST_SEED` repeats a run.
fn random_products(device: &Device) {
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    let seed =
        std::env::var("KILN_TEST_SEED").ok().map_or_else(now, |s| s.parse().expect("KILN_TEST_SEED is a number"));
    let (mut tested, mut reference) = (Executor::new(device).unwrap(), Executor::new(&Device::reference()).unwrap());
    let mut state = seed;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let epilogues = epilogues();
    for i in 0..40 {
        // Small numbers, multiples of four and numbers around a tile, in equal shares.
        let mut extent = || match draw(3) {
            0 => 1 + draw(9),
            1 => 4 * (1 + draw(24)),
            _ => 60 + draw(70),
        };
        let extents = [extent(), extent(), extent()];
        let op = MatMul::new(draw(2) == 0, draw(2) == 0);
        let op = match draw(2) {
            0 => op,
            _ => MatMul { epilogue: epilogues[draw(epilogues.len())], ..op },
        };
        let case = case_of(op, extents, seed.wrapping_add(i));
        let finding = check_case(&case, &mut tested, &mut reference).unwrap();
        assert!(finding.result.is_ok(), "{device}, KILN_TEST_SEED={seed}: {finding:?}");
    }
}

#[test]
fn products_of_any_shape_match_on_the_cpu() {
    random_products(&Device::cpu());
}

#[cfg(feature = "gpu")]
#[test]
fn products_of_any_shape_match_on_the_adapter() {
    use kiln::ops::{AdapterKind, Target};
    for kind in [AdapterKind::Hardware, AdapterKind::Software] {
        random_products(&crate::common::adapter().with_kernels_for(Target::new(kind)));
    }
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let refuses = |op: &dyn Op, inputs: &[Type], words: &[&str]| {
        let text = op.outputs(inputs).expect_err("must be refused").to_string();
        words.iter().for_each(|word| assert!(text.contains(word), "{text:?} lacks {word:?}"));
    };
    let (two, three) = (Type::float([2, 3, 4]), Type::float([3, 4, 5]));
    let stacked = MatMul::stacked(false, false);
    refuses(&stacked, &[two.clone(), three], &["(2, 3, 4) times (3, 4, 5)", "stacks of one shape"]);
    refuses(&stacked, &[two.clone(), Type::float([4])], &["(4,)", "two axes"]);
    refuses(&stacked, &[two.clone(), two.clone()], &["4 and 3"]);
    refuses(&OneHot { classes: 0 }, &[Type::u32([2])], &["one_hot", "classes is 0"]);
    refuses(&OneHot { classes: 3 }, std::slice::from_ref(&two), &["one_hot", "u32"]);
    refuses(&Take, &[Type::float([]), Type::u32([2])], &["take", "one row or more"]);
    refuses(&Take, &[two.clone(), two], &["take", "input 1"]);
}
