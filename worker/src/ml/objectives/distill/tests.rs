use grid::domain::{Arch, ModelConfig, Precision};
use tch::Reduction;

use super::*;
use crate::ml::fixtures::{assert_near, noise, small};
use crate::ml::objectives::MicroBatch;
use crate::ml::objectives::objective::metric_means;

const EVEN: Distill = Distill { temperature: 2.0, hard_weight: 0.5 };

/// Rows of logits as a head whose weight is the identity matrix.
fn logits_as_head(logits: &[[f32; 4]]) -> Head {
    let hidden = Tensor::from_slice(&logits.concat()).view([logits.len() as i64, 4]);
    Head { hidden, weight: Tensor::eye(4, (Kind::Float, Device::Cpu)) }
}

/// Losses, gradients of the hidden states and of the weight.
fn run(
    student: Head,
    teachers: Vec<Head>,
    targets: &[i64],
    settings: Distill,
    chunk: i64,
) -> (HeadLosses, [Tensor; 2]) {
    let targets = Tensor::from_slice(targets);
    let pass = HeadPass { student, teachers, targets: &targets, settings, chunk, kind: Kind::Float };
    let (losses, gradients) = pass.run(Some(1.0)).unwrap();
    (losses, gradients.expect("a scale was given"))
}

fn softmax(logits: [f64; 4], temperature: f64) -> [f64; 4] {
    let exponentials = logits.map(|logit| (logit / temperature).exp());
    exponentials.map(|one| one / exponentials.iter().sum::<f64>())
}

/// For the logits s = (1, 0, 0, ln 2) with the target 3, and the teachers (2 ln 4, 0, 0, 0) and (0, 0, 0, 2 ln 4): the mean is
/// (ln 4, 0, 0, ln 4), and q at T = 2 is (2, 1, 1, 2) / 6.
#[test]
fn loss_and_gradient_equal_those_computed_by_hand() {
    let four = 4f32.ln();
    let logits = [1.0, 0.0, 0.0, 2f32.ln()];
    let teachers =
        || vec![logits_as_head(&[[2.0 * four, 0.0, 0.0, 0.0]]), logits_as_head(&[[0.0, 0.0, 0.0, 2.0 * four]])];
    let settings = Distill { temperature: 2.0, hard_weight: 0.25 };
    let (losses, [of_hidden, _]) = run(logits_as_head(&[logits]), teachers(), &[3], settings, 1);

    let logits = logits.map(f64::from);
    let (p, hard) = (softmax(logits, 2.0), softmax(logits, 1.0));
    let q = [2.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 2.0 / 6.0];
    // e + 1 + 1 + 2 is the sum of the exponentials.
    let cross_entropy = (1f64.exp() + 4.0).ln() - 2f64.ln();
    let divergence: f64 = q.iter().zip(p).map(|(q, p)| q * (q / p).ln()).sum();
    assert!((losses.cross_entropy.double_value(&[]) - cross_entropy).abs() < 1e-6);
    assert!((losses.divergence.double_value(&[]) - divergence).abs() < 1e-6);
    for place in 0..4 {
        let target = if place == 3 { 1.0 } else { 0.0 };
        let wanted = 0.25 * (hard[place] - target) + 0.75 * 2.0 * (p[place] - q[place]);
        let found = of_hidden.double_value(&[0, place as i64]);
        assert!((found - wanted).abs() < 1e-6, "{place}: {found}, not {wanted}");
    }
}

/// The factor T² keeps the size of the gradient: for small logits, that of T² KL hardly depends on T (Hinton et al., 2.1).
#[test]
fn the_gradient_keeps_its_size_at_a_high_temperature() {
    let gradient = |temperature: f64| {
        let settings = Distill { temperature, hard_weight: 0.0 };
        let (student, teacher) = ([[0.3, -0.1, 0.0, 0.2]], [[-0.2, 0.1, 0.3, 0.0]]);
        run(logits_as_head(&student), vec![logits_as_head(&teacher)], &[0], settings, 1).1[0].shallow_clone()
    };
    // In the limit it is the difference of the logits, without their means, divided by the number of tokens.
    let wanted = Tensor::from_slice(&[0.5f32 - 0.05, -0.2 - 0.05, -0.3 - 0.05, 0.2 - 0.05]).view([1, 4]) / 4.0;
    assert_near(&gradient(1000.0), &wanted, 1e-3, "T = 1000");
    assert_near(&gradient(10.0), &wanted, 0.05, "T = 10");
}

#[test]
fn a_teacher_with_the_same_logits_gives_no_gradient() {
    let logits = [[1.0, 0.5, -2.0, 0.25], [0.0, 3.0, 0.5, 1.0], [0.1, 0.2, 0.3, 0.4]];
    for count in [1, 2, 3] {
        let settings = Distill { temperature: 3.0, hard_weight: 0.0 };
        let teachers = (0..count).map(|_| logits_as_head(&logits)).collect();
        let (losses, gradients) = run(logits_as_head(&logits), teachers, &[0, 1, 2], settings, 2);
        let largest = gradients.iter().map(|one| one.abs().max().double_value(&[])).fold(0.0, f64::max);
        assert!(largest < if count < 3 { 1e-30 } else { 1e-6 }, "{count} teachers: {largest}");
        assert!(losses.divergence.double_value(&[]).abs() < 1e-6 && losses.cross_entropy.double_value(&[]) > 0.1);
    }
}

#[test]
fn chunks_add_up() {
    let head =
        |width: i64, seed: i64| Head { hidden: noise(&[50, width], seed), weight: noise(&[13, width], seed + 1) };
    let targets: Vec<i64> = (0..50).map(|row| row * 7 % 13).collect();
    let run = |chunk| run(head(8, 1), vec![head(12, 3), head(4, 5)], &targets, EVEN, chunk);
    let ((whole, [hidden, weight]), (parts, of_parts)) = (run(1000), run(7));
    for (one, other) in [(&whole.cross_entropy, &parts.cross_entropy), (&whole.divergence, &parts.divergence)] {
        assert!((one.double_value(&[]) - other.double_value(&[])).abs() < 1e-4);
    }
    assert_near(&of_parts[0], &hidden, 1e-5, "hidden");
    assert_near(&of_parts[1], &weight, 1e-5, "weight");
}

fn rows() -> Vec<TrainingSequence> {
    let ids = |row: u32| (0..2 + (row * 7) % 30).map(|place| (row * 13 + place * 5) % 61).collect();
    let row = |row: u32| match row % 5 {
        4 => TrainingSequence::predicting_where(ids(row), &[false, true, false, true, true].repeat(7)),
        start => TrainingSequence::predicting_from(ids(row), start as usize),
    };
    (0..20).map(row).collect()
}

fn student(arch: Arch) -> Model {
    Model::random(&small(arch), 11, Device::Cpu).unwrap()
}

/// A teacher of the other family and one of another width.
fn teachers(arch: Arch) -> Vec<Model> {
    let other = if arch == Arch::Llama { Arch::Gpt2 } else { Arch::Llama };
    let wide = ModelConfig { hidden: 48, heads: 6, kv_heads: 6, ..small(arch) };
    [small(other), wide]
        .into_iter()
        .zip(3..)
        .map(|(config, seed)| Model::random(&config, seed, Device::Cpu).unwrap())
        .collect()
}

fn objective(model: &Model, settings: Distill, teachers: Vec<Model>) -> Distillation {
    Distillation::new(LanguageModeling::new(model.config(), Precision::F32, 0.0), settings, teachers)
}

/// The numbers of [`Objective::backward`] and the gradients of the mean loss, with at most `max_rows` rows at a time.
fn gradient(objective: &Distillation, model: &Model, max_rows: Option<u32>) -> (Vec<f64>, Vec<Tensor>) {
    shim::clear_gradients(model.weights().tensors()).unwrap();
    let limits = BatchLimits { max_rows, device: Device::Cpu };
    let batches = objective.micro_batches(&rows(), Purpose::Training { step: 0 }, limits).unwrap();
    let count: usize = batches.iter().map(MicroBatch::count).sum();
    let mut numbers = vec![0.0; 5];
    for batch in &batches {
        let more = Vec::<f64>::try_from(objective.backward(model, batch, 1.0 / count as f64).unwrap()).unwrap();
        numbers.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    (numbers, model.weights().tensors().map(Tensor::grad).collect())
}

/// Compares the value and every gradient with those of libtorch's own losses over all logits at once.
#[test]
fn the_chunked_loss_equals_that_of_libtorch() {
    for arch in Arch::TRAINED {
        let model = student(arch);
        let settings = Distill { temperature: 3.0, hard_weight: 0.3 };
        let objective = objective(&model, settings, teachers(arch));
        let (numbers, chunked) = gradient(&objective, &model, None);

        shim::clear_gradients(model.weights().tensors()).unwrap();
        let rows = rows();
        let batch = TokenBatch::new(&rows.iter().collect::<Vec<_>>()).unwrap().unwrap();
        let logits = |model: &Model| {
            let hidden = objective.text.hidden_without_noise(model, &batch).unwrap();
            hidden.matmul(&model.head().tr())
        };
        let of_teachers: Vec<Tensor> = teachers(arch).iter().map(|teacher| logits(teacher).detach()).collect();
        let mean = Tensor::stack(&of_teachers, 0).mean_dim(0, false, Kind::Float);
        let own = logits(&model);
        let head = objective.text.head(&model, &own, &batch);
        let hard = own.cross_entropy_loss(head.targets, None::<Tensor>, Reduction::Mean, -100, 0.0);
        let soft = (&own / 3.0).log_softmax(1, Kind::Float).kl_div(
            &(&mean / 3.0).softmax(1, Kind::Float),
            Reduction::Sum,
            false,
        ) / own.size()[0] as f64;
        let whole = &hard * 0.3 + &soft * (0.7 * 9.0);
        whole.backward();
        let count = own.size()[0] as f64;
        for (found, wanted) in [(numbers[0], &whole), (numbers[1], &hard), (numbers[3], &soft)] {
            let wanted = wanted.double_value(&[]);
            assert!((found / count - wanted).abs() < 1e-5 * wanted, "{arch:?}: {found} {wanted}");
        }
        assert_eq!([numbers[2], numbers[4]], [count; 2]);
        for (weight, gradient) in model.weights().list().iter().zip(chunked) {
            let wanted = weight.tensor.grad();
            let error = (&gradient - &wanted).norm().double_value(&[]) / wanted.norm().double_value(&[]);
            assert!(error < 1e-5, "{arch:?} {:?}: {error}", weight.parts);
        }
    }
}

/// Along its own direction the loss rises as steeply as the gradient is long, and micro-batches change only rounding.
#[test]
fn gradients_are_those_of_finite_differences() {
    for (arch, hard_weight) in Arch::TRAINED.into_iter().flat_map(|arch| [0.0, 0.5, 1.0].map(|weight| (arch, weight))) {
        let model = student(arch);
        let objective = objective(&model, Distill { temperature: 2.0, hard_weight }, teachers(arch));
        let (numbers, whole) = gradient(&objective, &model, None);
        let (_, parts) = gradient(&objective, &model, Some(3));
        let norm = whole.iter().map(|one| one.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt();
        for (one, other) in whole.iter().zip(&parts) {
            assert!((one - other).abs().max().double_value(&[]) < 1e-5 * norm, "micro-batches change the gradient");
        }
        let move_by = |distance: f64| {
            let _no_grad = tch::no_grad_guard();
            for (weight, direction) in model.weights().tensors().zip(&whole) {
                let _ = weight.shallow_clone().f_add_(&(direction * (distance / norm))).unwrap();
            }
        };
        let at = |distance: f64| {
            move_by(distance);
            let (numbers, _) = gradient(&objective, &model, None);
            move_by(-distance);
            numbers[0] / numbers[2]
        };
        let step = 0.005;
        let slope = (at(step) - at(-step)) / (2.0 * step);
        assert!((slope / norm - 1.0).abs() < 0.01, "{arch:?} {hard_weight}: {slope}, gradient norm {norm}");

        // Validation reports the plain cross entropy, whatever its weight, and the same numbers beside it.
        let sums = objective.validate(&model, &rows(), 7).unwrap();
        let means = metric_means(objective.metrics(), &sums.metrics);
        assert_eq!(means.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["cross_entropy", "teacher_kl"]);
        let near = |found: f64, sum: f64| (found - sum / numbers[2]).abs() < 1e-5 * found;
        assert!(near(sums.mean().unwrap(), numbers[1]) && near(means[0].1, numbers[1]) && near(means[1].1, numbers[3]));
        let plain = objective.text.validate(&model, &rows(), 7).unwrap();
        assert!((plain.mean().unwrap() - means[0].1).abs() < 1e-5 * means[0].1);
    }
}

#[test]
fn with_hard_labels_alone_it_is_language_modeling() {
    let model = student(Arch::Llama);
    let objective = objective(&model, Distill { temperature: 2.0, hard_weight: 1.0 }, teachers(Arch::Llama));
    let (_, distilled) = gradient(&objective, &model, None);
    shim::clear_gradients(model.weights().tensors()).unwrap();
    let rows = rows();
    let batch = TokenBatch::new(&rows.iter().collect::<Vec<_>>()).unwrap().unwrap();
    let _ = objective.text.backward(&model, &batch, 1.0 / batch.count() as f64).unwrap();
    for (weight, gradient) in model.weights().list().iter().zip(distilled) {
        assert_near(&gradient, &weight.tensor.grad(), 1e-5, &format!("{:?}", weight.parts));
    }
}

#[test]
fn a_model_that_teaches_itself_does_not_move() {
    for arch in Arch::TRAINED {
        let model = student(arch);
        let objective = objective(&model, Distill { temperature: 2.0, hard_weight: 0.0 }, vec![student(arch)]);
        let (numbers, gradients) = gradient(&objective, &model, None);
        assert_eq!((numbers[0], numbers[3]), (0.0, 0.0));
        assert!(gradients.iter().all(|gradient| gradient.abs().max().double_value(&[]) == 0.0), "{arch:?}");
    }
}

/// Noise on the embeddings is for the model alone, whose width the teachers need not have.
#[test]
fn teachers_read_the_text_without_noise() {
    let model = student(Arch::Llama);
    let config = model.config().clone();
    let noisy = |alpha: f64| {
        let text = LanguageModeling::new(&config, Precision::F32, 0.0).with_noise(alpha, 3, &config);
        gradient(&Distillation::new(text, EVEN, teachers(Arch::Llama)), &model, None).0
    };
    assert_ne!(noisy(5.0), noisy(0.0));
    let itself = |alpha: f64| {
        let text = LanguageModeling::new(&config, Precision::F32, 0.0).with_noise(alpha, 3, &config);
        gradient(&Distillation::new(text, EVEN, vec![student(Arch::Llama)]), &model, None).0[3]
    };
    assert!(itself(0.0) == 0.0 && itself(5.0) > 0.0, "with the noise of the student, its teacher would agree");
}

#[test]
fn bf16_stays_near_float32() {
    for arch in Arch::TRAINED {
        let model = student(arch);
        let [f32, bf16] = [Precision::F32, Precision::Bf16].map(|precision| {
            let text = LanguageModeling::new(model.config(), precision, 0.0);
            gradient(&Distillation::new(text, EVEN, teachers(arch)), &model, None)
        });
        assert_ne!(f32.0, bf16.0, "bfloat16 was not used");
        assert!((f32.0[0] / bf16.0[0] - 1.0).abs() < 0.02, "{arch:?}: {:?} {:?}", f32.0, bf16.0);
        let dot = |one: &[Tensor], other: &[Tensor]| -> f64 {
            one.iter().zip(other).map(|(one, other)| (one * other).sum(Kind::Double).double_value(&[])).sum()
        };
        let cosine = dot(&f32.1, &bf16.1) / (dot(&f32.1, &f32.1) * dot(&bf16.1, &bf16.1)).sqrt();
        assert!(cosine > 0.99, "{arch:?}: {cosine}");
    }
}

#[test]
fn the_number_of_threads_changes_only_rounding() {
    let model = student(Arch::Llama);
    let objective = objective(&model, EVEN, teachers(Arch::Llama));
    let before = tch::get_num_threads();
    let [one, two] = [1, 2].map(|threads| {
        tch::set_num_threads(threads);
        gradient(&objective, &model, None)
    });
    tch::set_num_threads(before);
    for (one, two) in one.1.iter().zip(&two.1) {
        assert_near(one, two, 1e-5, "gradient");
    }
    for (one, two) in one.0.iter().zip(two.0) {
        assert!((one - two).abs() < 1e-5 * two, "{one} {two}");
    }
}
