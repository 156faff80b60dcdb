"""The claims, as data: stated before the recorded measurements, in the order of the sections.

The source is an undated web article (see the bibliography, ``openatom``); its sentences are
restated, not quoted. Margins: 1.0 accuracy point, 10 % of a time, 0.15 in an exponent, unless
the criterion says otherwise. "Points" are percentage points of accuracy.
"""

from bslib.claims.claim import Arm, Claim

WHY, CHOOSING, INCREASING = "1-why", "2-choosing", "3-increasing"
SUPPORTED, REFUTED, CONDITIONAL = "supported", "refuted", "conditional"

CLAIMS = (
    Claim(
        key="1.1",
        section=WHY,
        title="Does training on all the data at once outgrow the memory?",
        statement=(
            "Training on the whole data set at once can need more memory than the device has, "
            "while mini-batches fit."
        ),
        arms=(
            Arm(
                "all examples in one piece",
                "peak memory of a step at the larger batch sizes, over what a law that grows "
                "with the batch, fitted at two small sizes, predicts for it",
                0.95,
                1.05,
                reference=1.0,
            ),
            Arm(
                "all examples, accumulated from micro-batches",
                "peak memory of computing the full gradient by accumulation, over that of one "
                "micro-batch",
                low=1.02,
                reference=1.0,
            ),
        ),
        criterion=(
            "In one piece: supported if the memory law, which grows with the batch without "
            "bound, predicts the peak at the larger half of the batch sizes within a ratio of "
            "0.95 to 1.05. Accumulated: supported if the full gradient takes at least 1.02 "
            "times the memory of a single micro-batch; it must also equal the gradient in one "
            "piece, which is checked and not judged."
        ),
        prediction=CONDITIONAL,
        because=(
            "A step in one piece outgrows any memory, but accumulation gives the same gradient "
            "in the memory of one micro-batch."
        ),
        source="Godbole et al. 2023; Korthikanti et al. 2022",
        references=("godbole2023deep", "korthikanti2022reducing"),
    ),
    Claim(
        key="1.2",
        section=WHY,
        title="Does a larger batch train faster, and a mini-batch faster than all the data?",
        statement=(
            "A larger batch makes use of parallel hardware and speeds training up, and "
            "mini-batch SGD is usually faster than full-batch gradient descent."
        ),
        arms=(
            Arm(
                "throughput at small batches",
                "examples a second at a batch of 1,024 over those at a batch of 8",
                low=4.0,
                reference=1.0,
            ),
            Arm(
                "throughput beyond saturation",
                "examples a second at twice the batch size, over those before doubling, beyond "
                "ten times the batch size of half the maximal throughput",
                low=1.08,
                reference=1.0,
            ),
            Arm(
                "mini-batches against the full batch",
                "time to the target with the full batch over that with the fastest mini-batch",
                low=2.0,
                reference=1.0,
            ),
        ),
        criterion=(
            "Small batches: throughput grows at least 4-fold from a batch of 8 to 1,024. Beyond "
            "saturation: doubling the batch still multiplies throughput by at least 1.08. "
            "Mini-batches: with the learning rate tuned at every batch size, the full batch "
            "takes at least 2 times as long to the same target as the fastest mini-batch."
        ),
        prediction=CONDITIONAL,
        because=(
            "Throughput grows until the hardware is saturated and not after, and full-batch "
            "descent pays for all examples in every one of its steps."
        ),
        source="Wilson and Martinez 2003; Golmant et al. 2018; Shallue et al. 2019",
        references=("wilson2003general", "golmant2018computational", "shallue2019measuring"),
    ),
    Claim(
        key="1.3",
        section=WHY,
        title="Does the randomness of batches help to escape local minima and to generalise?",
        statement=(
            "The randomness of batches helps training to avoid local minima, and so to generalise."
        ),
        arms=(
            Arm(
                "escape from a double well",
                "slope of the log escape rate on the batch size, over the slope that Kramers' "
                "law predicts",
                0.5,
                1.5,
                reference=1.0,
            ),
            Arm(
                "a fixed training set, many epochs",
                "test accuracy at the best small batch size less that at the full batch",
                low=1.0,
                unit="points",
            ),
            Arm(
                "fresh examples at every step",
                "test accuracy at the best small batch size less that at the largest batch",
                low=1.0,
                unit="points",
            ),
        ),
        criterion=(
            "Double well: the log rate of escape falls with the batch size at 0.5 to 1.5 times "
            "the slope that theory predicts for noise-driven escape. Fixed set and fresh "
            "examples: at equal steps, with the learning rate tuned at every batch size and the "
            "best checkpoint kept, the small batch is better by at least 1 point."
        ),
        prediction=CONDITIONAL,
        because=(
            "Noise drives escape in low-dimensional models, but full-batch training can match "
            "SGD, and where no example is seen twice noise only slows it down."
        ),
        source=(
            "Keskar et al. 2017; Smith, Elsen and De 2020; Geiping et al. 2022; Vyas et al. 2023"
        ),
        references=(
            "keskar2017large",
            "smith2020generalization",
            "geiping2022stochastic",
            "vyas2023beyond",
        ),
    ),
    Claim(
        key="1.4",
        section=WHY,
        title="Is a small batch a regulariser?",
        statement="A small batch acts as a regulariser: its noise reduces overfitting.",
        arms=(
            Arm(
                "a small batch at a large learning rate",
                "validation accuracy at the small batch less that at the full batch, the same "
                "large learning rate for both",
                low=1.0,
                unit="points",
            ),
            Arm(
                "a small batch at a small learning rate",
                "validation accuracy at the small batch less that at the full batch, the same "
                "small learning rate for both",
                low=1.0,
                unit="points",
            ),
            Arm(
                "the small batch's noise added to the full batch",
                "validation accuracy of the full batch with noise of the small batch's "
                "covariance less that of the full batch alone",
                low=1.0,
                unit="points",
            ),
            Arm(
                "the added noise in place of the small batch",
                "validation accuracy of the full batch with that noise less that of the small "
                "batch itself",
                -1.0,
                1.0,
                "points",
            ),
            Arm(
                "isotropic noise added to the full batch",
                "validation accuracy of the full batch with isotropic noise of equal trace less "
                "that of the full batch alone",
                low=1.0,
                unit="points",
            ),
        ),
        criterion=(
            "At equal steps and learning rates: the small batch, and the full batch with the "
            "small batch's noise added, are each better than the full batch alone by at least 1 "
            "point. In place of the small batch, the added noise does as well: between -1 and 1 "
            "point. Isotropic noise and a small learning rate are tried by the same 1 point, and "
            "show whether any noise at any rate will do."
        ),
        prediction=CONDITIONAL,
        because=(
            "Gradient noise regularises at a large learning rate where little else does; it is "
            "replaceable, and its covariance matters."
        ),
        source="Smith and Le 2018; Masters and Luschi 2018; Godbole et al. 2023",
        references=("smith2018bayesian", "masters2018revisiting", "godbole2023deep"),
    ),
    Claim(
        key="1.5",
        section=WHY,
        title="Can several workers share a batch, and does that speed training up?",
        statement=(
            "Batches let several GPUs work on different data in parallel, which speeds training up."
        ),
        arms=(
            Arm(
                "the gradient of shared work",
                "largest relative difference between the workers' averaged gradient and that of "
                "the whole batch on one worker",
                high=1e-10,
            ),
            Arm(
                "two workers at the largest local batch",
                "examples a second of two workers over those of one",
                low=1.1,
                reference=1.0,
            ),
            Arm(
                "two workers at the smallest local batch",
                "examples a second of two workers over those of one",
                low=1.1,
                reference=1.0,
            ),
            Arm(
                "efficiency against the local batch",
                "exponent of parallel efficiency in the local batch size",
                low=0.0,
            ),
            Arm(
                "the law of communication",
                "median relative error of predicted efficiency at points that were held out",
                high=0.2,
            ),
        ),
        criterion=(
            "The workers' gradient equals the whole batch's to 1e-10, in float64 and without "
            "batch normalisation. Two workers are at least 1.1 times as fast as one, at the "
            "largest and at the smallest local batch. Efficiency rises with the local batch: its "
            "exponent is above 0. Compute and communication costs explain it: a median error of "
            "at most 0.2 at points held out."
        ),
        prediction=CONDITIONAL,
        because=(
            "Workers share a batch exactly, and gain once each has enough work to outweigh "
            "communication."
        ),
        source="Goyal et al. 2017; Qiao et al. 2021; You et al. 2020",
        references=("goyal2017accurate", "qiao2021pollux", "you2020large"),
    ),
    Claim(
        key="1.6",
        section=WHY,
        title="Does the batch size decide how steadily training converges?",
        statement=(
            "A suitable batch size makes convergence easier, with less oscillation and instability."
        ),
        arms=(
            Arm(
                "least squares at a fixed learning rate",
                "exponent in the batch size of the full loss's standard deviation along the "
                "trajectory",
                high=-0.15,
            ),
            Arm(
                "least squares at a learning rate scaled with the batch size",
                "exponent in the batch size of the full loss's standard deviation along the "
                "trajectory",
                high=-0.15,
            ),
            Arm(
                "a network at a fixed learning rate",
                "exponent in the batch size of the full loss's standard deviation along the "
                "trajectory",
                high=-0.15,
            ),
            Arm(
                "a network at a learning rate scaled with the batch size",
                "exponent in the batch size of the full loss's standard deviation along the "
                "trajectory",
                high=-0.15,
            ),
            Arm(
                "the largest stable learning rate",
                "exponent in the batch size of the largest learning rate at which least squares "
                "does not diverge",
                low=0.15,
            ),
        ),
        criterion=(
            "The full training loss oscillates less at a larger batch: after the first descent, "
            "the exponent of its standard deviation is at most -0.15, on least squares and on a "
            "network, whether the learning rate is fixed or scaled with the batch. And a larger "
            "batch tolerates a larger rate: an exponent of at least 0.15."
        ),
        prediction=CONDITIONAL,
        because=(
            "At a fixed learning rate oscillation falls with the batch; scaled with it, the "
            "rate keeps the oscillation constant."
        ),
        source=(
            "Masters and Luschi 2018; Cohen et al. 2021; Andreyev and Beneventano 2024; "
            "Ma et al. 2018"
        ),
        references=(
            "masters2018revisiting",
            "cohen2021gradient",
            "andreyev2024edge",
            "ma2018power",
        ),
    ),
    Claim(
        key="2.1",
        section=CHOOSING,
        title="Does the device's memory bound the batch size?",
        statement=(
            "The device's memory bounds the batch size, which has to be chosen so that memory "
            "does not run out."
        ),
        arms=(
            Arm(
                "the smallest memory limit",
                "predicted over true largest batch size that fits",
                0.9,
                1.1,
                reference=1.0,
            ),
            Arm(
                "the middle memory limit",
                "predicted over true largest batch size that fits",
                0.9,
                1.1,
                reference=1.0,
            ),
            Arm(
                "the largest memory limit",
                "predicted over true largest batch size that fits",
                0.9,
                1.1,
                reference=1.0,
            ),
        ),
        criterion=(
            "Memory sets a bound that can be told beforehand: at each of three limits, the "
            "batch size predicted from two small steps is 0.9 to 1.1 times the largest that "
            "really fits, for steps in one piece, the second step on."
        ),
        prediction=SUPPORTED,
        because=(
            "Activations grow with the batch and memory does not; it is the micro-batch that is "
            "bounded."
        ),
        source="Godbole et al. 2023; Korthikanti et al. 2022",
        references=("godbole2023deep", "korthikanti2022reducing"),
    ),
    Claim(
        key="2.2",
        section=CHOOSING,
        title="Do small data sets allow larger batches?",
        statement=(
            "A small data set allows a larger batch, because it fits in memory easily, while a "
            "large one may need a smaller batch."
        ),
        arms=(
            Arm(
                "one target for every data size",
                "exponent of the critical batch size in the number of training examples",
                high=-0.15,
            ),
            Arm(
                "a target relative to each data size's best",
                "exponent of the critical batch size in the number of training examples",
                high=-0.15,
            ),
            Arm(
                "the memory of a step",
                "exponent of a step's peak memory, at a fixed batch size, in the number of "
                "training examples",
                low=0.15,
            ),
        ),
        criterion=(
            "The useful batch size falls as the data grow: the exponent of the critical batch "
            "size is at most -0.15, with the learning rate tuned at every size, at both targets. "
            "And the reason given holds: a step's memory grows with the data, with an exponent "
            "of at least 0.15."
        ),
        prediction=REFUTED,
        because=(
            "The critical batch size grows with the data and the loss reached, and a step's "
            "memory does not know how many examples there are."
        ),
        source="Zhang et al. 2024; Li et al. 2025; Smith and Le 2018; Golmant et al. 2018",
        references=(
            "zhang2024how",
            "li2025predictable",
            "smith2018bayesian",
            "golmant2018computational",
        ),
    ),
    Claim(
        key="2.3",
        section=CHOOSING,
        title="Do larger models need smaller batches?",
        statement=(
            "Complex models, with more parameters and computation, usually need smaller batches, "
            "and simple ones can take larger."
        ),
        arms=(
            Arm(
                "what fits in memory",
                "exponent of the largest batch size that fits in the width of the network",
                high=-0.15,
            ),
            Arm(
                "what training can use",
                "exponent of the critical batch size in the width of the network",
                high=-0.3,
            ),
        ),
        criterion=(
            "Memory: the largest batch that fits falls with the width, by an exponent of at most "
            "-0.15. Use: the critical batch size at a common target, the learning rate tuned at "
            "every width and batch size, falls with an exponent of at most -0.3."
        ),
        prediction=CONDITIONAL,
        because=(
            "Wider networks hold more activations an example, but at a common loss the critical "
            "batch size hardly depends on the model's size."
        ),
        source="McCandlish et al. 2018; Zhang et al. 2024; Li et al. 2025",
        references=("mccandlish2018empirical", "zhang2024how", "li2025predictable"),
    ),
    Claim(
        key="2.4",
        section=CHOOSING,
        title="Does a large batch converge fast but too early?",
        statement=(
            "A larger batch may converge faster but prematurely, to a local minimum; a smaller "
            "one may need more iterations but generalises better."
        ),
        arms=(
            Arm(
                "iterations",
                "exponent in the batch size of the steps to a common training loss",
                high=-0.15,
            ),
            Arm(
                "a premature minimum",
                "training loss of the large-batch run after it was resumed for ten times as "
                "long, over that before",
                low=0.9,
                reference=1.0,
            ),
            Arm(
                "generalisation at equal epochs",
                "validation accuracy at the smallest batch less that at the largest",
                low=1.0,
                unit="points",
            ),
            Arm(
                "generalisation at equal steps",
                "validation accuracy at the smallest batch less that at the largest",
                low=1.0,
                unit="points",
            ),
        ),
        criterion=(
            "Iterations: steps to a common training loss fall with the batch, by an exponent of "
            "at most -0.15. Premature: a large-batch run that had stopped improving at equal "
            "epochs stays where it was when resumed, at no less than 0.9 of its training loss. "
            "Generalisation: with the learning rate tuned at every batch size, the smallest "
            "batch is better by at least 1 point, at equal epochs and at equal steps."
        ),
        prediction=CONDITIONAL,
        because=(
            "Steps do fall, but at equal epochs a large batch is under-trained, not trapped: it "
            "goes on improving when it is given the steps."
        ),
        source="Keskar et al. 2017; Hoffer et al. 2017; Shallue et al. 2019",
        references=("keskar2017large", "hoffer2017train", "shallue2019measuring"),
    ),
    Claim(
        key="2.5",
        section=CHOOSING,
        title="Does a larger batch need a larger learning rate?",
        statement=(
            "A larger batch usually needs a larger learning rate, and a smaller batch a smaller "
            "one."
        ),
        arms=(
            Arm(
                "SGD well below the critical batch size",
                "exponent of the best learning rate in the batch size",
                low=0.15,
            ),
            Arm(
                "AdamW well below the critical batch size",
                "exponent of the best learning rate in the batch size",
                low=0.15,
            ),
            Arm(
                "SGD well above the critical batch size",
                "exponent of the best learning rate in the batch size",
                low=0.15,
            ),
        ),
        criterion=(
            "The learning rate that reaches the target in the fewest steps grows with the "
            "batch: an exponent of at least 0.15, below a quarter of the critical batch size for "
            "SGD and for AdamW, and above four times the critical batch size for SGD. Which "
            "exponent it is, 1, 1/2 or another, is reported and not judged."
        ),
        prediction=CONDITIONAL,
        because=(
            "The best rate grows with the batch while noise limits it, linearly for SGD and more "
            "slowly for Adam, and is flat once curvature does."
        ),
        source=(
            "Goyal et al. 2017; McCandlish et al. 2018; Malladi et al. 2022; "
            "Granziol et al. 2022; Li et al. 2024"
        ),
        references=(
            "goyal2017accurate",
            "mccandlish2018empirical",
            "malladi2022sdes",
            "granziol2022learning",
            "li2024surge",
        ),
    ),
    Claim(
        key="2.6",
        section=CHOOSING,
        title="Does a small batch buy generalisation with training time?",
        statement=(
            "A smaller batch brings more randomness, which regularises and generalises, but may "
            "need more training time."
        ),
        arms=(
            Arm(
                "randomness",
                "exponent in the batch size of the displayed loss's standard deviation about its "
                "local trend",
                high=-0.15,
            ),
            Arm(
                "generalisation at equal training loss",
                "validation accuracy at the smallest batch less that at the largest, each when "
                "it reaches the target",
                low=1.0,
                unit="points",
            ),
            Arm(
                "training time in steps",
                "exponent in the batch size of the steps to the target",
                high=-0.15,
            ),
            Arm(
                "training time in examples",
                "exponent in the batch size of the examples to the target",
                high=-0.15,
            ),
            Arm(
                "training time in seconds",
                "exponent in the batch size of the seconds to the target, below the fastest "
                "batch size",
                high=-0.15,
            ),
        ),
        criterion=(
            "With the learning rate tuned at every batch size: the noise of the displayed loss, "
            "and the steps, examples and seconds to a common training loss, all fall as the "
            "batch grows, with exponents of at most -0.15 (seconds: below the fastest batch "
            "size). At that loss the smallest batch generalises better by at least 1 point."
        ),
        prediction=CONDITIONAL,
        because=(
            "A small batch always takes more steps and never more examples; more seconds are "
            "the hardware's doing, and the regularising effect depends on the setting."
        ),
        source="Masters and Luschi 2018; Shallue et al. 2019; Marek et al. 2025",
        references=("masters2018revisiting", "shallue2019measuring", "marek2025small"),
    ),
    Claim(
        key="2.7",
        section=CHOOSING,
        title="Can the best batch size be found by trying?",
        statement=(
            "The best batch size has to be found by experiment: try several, and watch training "
            "loss, validation loss and test performance."
        ),
        arms=(
            Arm(
                "a fixed learning rate, equal epochs",
                "octaves between the batch size that looks best this way and the one that is "
                "best with rate and weight decay tuned",
                -1.0,
                1.0,
                "octaves",
            ),
            Arm(
                "a tuned learning rate, equal epochs",
                "octaves between the batch size that looks best this way and the one that is "
                "best with rate and weight decay tuned",
                -1.0,
                1.0,
                "octaves",
            ),
            Arm(
                "a tuned learning rate, equal steps",
                "octaves between the batch size that looks best this way and the one that is "
                "best with rate and weight decay tuned",
                -1.0,
                1.0,
                "octaves",
            ),
        ),
        criterion=(
            "One data set is analysed four ways, and a sweep is a guide if it finds the same "
            "batch size each way: in each of the first three, the batch size that looks best "
            "lies within -1 to 1 octave of the fourth way's, where learning rate and weight "
            "decay are tuned at every batch size and steps are equal."
        ),
        prediction=CONDITIONAL,
        because=(
            "What looks best depends on what was held fixed; with everything retuned the "
            "differences typically go away."
        ),
        source="Shallue et al. 2019; Godbole et al. 2023",
        references=("shallue2019measuring", "godbole2023deep"),
    ),
    Claim(
        key="2.8",
        section=CHOOSING,
        title="Does batch normalisation change which batch size to choose?",
        statement=(
            "Batch normalisation affects the choice of batch size, and smaller batches usually "
            "need more batch-norm layers."
        ),
        arms=(
            Arm(
                "batch norm's dependence on the batch",
                "accuracy of batch norm less that of group norm, at the largest batch less at "
                "the smallest",
                low=1.0,
                unit="points",
            ),
            Arm(
                "more batch-norm layers at a small batch",
                "accuracy gained with each further batch-norm layer at a small batch",
                low=0.25,
                unit="points a layer",
            ),
        ),
        criterion=(
            "Dependence: from the smallest batch to the largest, batch norm gains at least 1 "
            "point on group norm, which does not look at the batch. More layers: at a small "
            "batch each further batch-norm layer adds at least 0.25 points, one over four "
            "layers."
        ),
        prediction=CONDITIONAL,
        because=(
            "Batch norm's statistics are noisy at small batches, so it does depend on the batch, "
            "and more of it makes things worse there."
        ),
        source="Wu and He 2018; Hoffer et al. 2017; Godbole et al. 2023",
        references=("wu2018group", "hoffer2017train", "godbole2023deep"),
    ),
    Claim(
        key="2.9",
        section=CHOOSING,
        title="Do the number of workers and their network decide the batch size?",
        statement=(
            "In distributed training the choice of batch size depends on the number of GPUs and "
            "on the cost of communication."
        ),
        arms=(
            Arm(
                "the cost of communication",
                "octaves by which the fastest batch size moves from a fast network to a slow one",
                low=1.0,
                unit="octaves",
            ),
            Arm(
                "the number of workers",
                "octaves by which the fastest batch size moves from 1 worker to 64",
                low=1.0,
                unit="octaves",
            ),
            Arm(
                "the cost model",
                "median relative error of predicted step times at points that were held out",
                high=0.2,
            ),
        ),
        criterion=(
            "From measured steps to target and a cost model of compute, latency and bandwidth: "
            "the fastest batch size moves up by at least 1 octave from a fast network to a slow "
            "one, and from 1 worker to 64. The model's median error at measured points that it "
            "was not fitted to is at most 0.2."
        ),
        prediction=SUPPORTED,
        because=(
            "Communication is paid once a step, so the fastest batch grows with its cost and "
            "with the number of workers, up to the critical batch size."
        ),
        source="Qiao et al. 2021; Lin et al. 2020; Douillard et al. 2023; Merrill et al. 2025",
        references=("qiao2021pollux", "lin2020dont", "douillard2023diloco", "merrill2025critical"),
    ),
    Claim(
        key="3.1",
        section=INCREASING,
        title="Does a larger batch train in fewer steps and less time?",
        statement="A larger batch trains faster: fewer iterations in all, and less time.",
        arms=(
            Arm(
                "steps at small batches",
                "exponent in the batch size of the steps to the target, up to a sixteenth of the "
                "critical batch size",
                -1.15,
                -0.85,
                reference=-1.0,
            ),
            Arm(
                "steps at large batches",
                "exponent in the batch size of the steps to the target, from sixteen times the "
                "critical batch size on",
                high=-0.15,
            ),
            Arm(
                "seconds below the fastest batch size",
                "exponent in the batch size of the seconds to the target",
                high=-0.15,
            ),
            Arm(
                "seconds above the fastest batch size",
                "exponent in the batch size of the seconds to the target",
                high=-0.15,
            ),
        ),
        criterion=(
            "With the learning rate tuned at every batch size. Steps at small batches fall in "
            "proportion: an exponent between -1.15 and -0.85, up to a sixteenth of the critical "
            "batch size. From sixteen times that size on they still fall, with an exponent of at "
            "most -0.15; and so do the seconds, below and above the fastest batch size."
        ),
        prediction=CONDITIONAL,
        because=(
            "Steps fall in proportion, then less, then not at all, and time stops falling before "
            "they do."
        ),
        source="McCandlish et al. 2018; Shallue et al. 2019; Zhang et al. 2024",
        references=("mccandlish2018empirical", "shallue2019measuring", "zhang2024how"),
    ),
    Claim(
        key="3.2",
        section=INCREASING,
        title="Does a larger batch use the hardware better?",
        statement="A larger batch uses the hardware better.",
        arms=(
            Arm(
                "up to saturation",
                "utilisation at eight times the saturating batch size over that at a batch of 8",
                low=5.0,
                reference=1.0,
            ),
            Arm(
                "beyond saturation",
                "utilisation at twice the batch size over that before doubling",
                low=1.05,
                reference=1.0,
            ),
        ),
        criterion=(
            "Utilisation is operations a second over the device's peak. Up to saturation it "
            "grows at least 5-fold from a batch of 8; beyond saturation each doubling still "
            "multiplies it by at least 1.05. The cost of odd sizes is reported apart."
        ),
        prediction=CONDITIONAL,
        because=(
            "Arithmetic intensity grows with the batch until the roofline's ridge, and "
            "utilisation is flat after it."
        ),
        source="NVIDIA 2023; Godbole et al. 2023",
        references=("nvidia2023matrix", "godbole2023deep"),
    ),
    Claim(
        key="3.3",
        section=INCREASING,
        title="Does a larger batch give a steadier gradient?",
        statement="A larger batch gives a more stable estimate of the gradient.",
        arms=(
            Arm(
                "at initialisation",
                "exponent of the variance of the mini-batch gradient in the batch size, "
                "(N-B)/(N-1) divided out",
                -1.05,
                -0.95,
                reference=-1.0,
            ),
            Arm(
                "in mid-training",
                "exponent of the variance of the mini-batch gradient in the batch size, "
                "(N-B)/(N-1) divided out",
                -1.05,
                -0.95,
                reference=-1.0,
            ),
            Arm(
                "after training",
                "exponent of the variance of the mini-batch gradient in the batch size, "
                "(N-B)/(N-1) divided out",
                -1.05,
                -0.95,
                reference=-1.0,
            ),
            Arm(
                "without replacement",
                "exponent of the factor (N-B)/(N-1) in the measured variance",
                0.95,
                1.05,
                reference=1.0,
            ),
        ),
        criterion=(
            "The variance of the mini-batch gradient falls as one over the batch size: at each "
            "of three stages of training its exponent, with the finite-population factor divided "
            "out, lies between -1.05 and -0.95. Without replacement that factor itself enters "
            "with an exponent between 0.95 and 1.05."
        ),
        prediction=SUPPORTED,
        because=(
            "A batch's gradient is a mean over a random sample, and sampling theory gives the "
            "variance of such a mean exactly."
        ),
        source="Cochran 1977; McCandlish et al. 2018, equation A.1",
        references=("cochran1977sampling", "mccandlish2018empirical"),
    ),
    Claim(
        key="3.4",
        section=INCREASING,
        title="Does a larger batch make the loss curve smoother?",
        statement="A larger batch gives a smoother loss curve.",
        arms=(
            Arm(
                "displayed mini-batch loss",
                "exponent in the batch size of the standard deviation of the mini-batch loss "
                "about its local trend",
                high=-0.15,
            ),
            Arm(
                "full loss at a fixed learning rate",
                "exponent in the batch size of the standard deviation of the full training loss "
                "along the trajectory about its trend",
                high=-0.15,
            ),
            Arm(
                "full loss at a learning rate scaled with the batch size",
                "exponent in the batch size of the standard deviation of the full training loss "
                "along the trajectory about its trend",
                high=-0.15,
            ),
        ),
        criterion=(
            "A curve's roughness is its standard deviation about its local trend. It falls with "
            "the batch size, by an exponent of at most -0.15, for the displayed mini-batch loss, "
            "and for the loss over the whole training set along the trajectory, whether the "
            "learning rate is fixed or scaled with the batch size."
        ),
        prediction=CONDITIONAL,
        because=(
            "The displayed loss is a mean over more examples, but with the learning rate scaled "
            "the weights jitter as much as before."
        ),
        source="Goyal et al. 2017; Mandt et al. 2017; Smith et al. 2018",
        references=("goyal2017accurate", "mandt2017stochastic", "smith2018dont"),
    ),
    Claim(
        key="3.5",
        section=INCREASING,
        title="Does a larger batch parallelise better?",
        statement="With several GPUs a larger batch parallelises better.",
        arms=(
            Arm(
                "throughput",
                "exponent of parallel efficiency in the batch size",
                low=0.0,
            ),
            Arm(
                "goodput",
                "log of progress a second at the largest batch size less that at the best "
                "smaller one",
                low=0.0,
            ),
        ),
        criterion=(
            "Throughput: parallel efficiency grows with the batch, with an exponent above 0. "
            "Goodput, examples a second times the progress that each example makes: the log of "
            "the largest batch's goodput over that of the best smaller batch is above 0."
        ),
        prediction=CONDITIONAL,
        because=(
            "Larger batches hide communication, but beyond the critical batch size the examples "
            "they process contribute less."
        ),
        source="Qiao et al. 2021; Goyal et al. 2017; Shallue et al. 2019",
        references=("qiao2021pollux", "goyal2017accurate", "shallue2019measuring"),
    ),
    Claim(
        key="3.6",
        section=INCREASING,
        title="Does a larger batch cut the cost of loading data?",
        statement=(
            "Smaller batches load and transfer data more often, so a larger batch cuts "
            "input/output overhead."
        ),
        arms=(
            Arm(
                "a loader in the training process",
                "time to load an epoch in batches of 64 over that in batches of 1,024",
                low=2.0,
                reference=1.0,
            ),
            Arm(
                "a loader with worker processes",
                "time to load an epoch in batches of 64 over that in batches of 1,024",
                low=2.0,
                reference=1.0,
            ),
            Arm(
                "slices of resident data",
                "time to load an epoch in batches of 64 over that in batches of 1,024",
                low=2.0,
                reference=1.0,
            ),
            Arm(
                "bytes read",
                "bytes read from storage in an epoch in batches of 64 over those in batches of "
                "1,024",
                low=1.1,
                reference=1.0,
            ),
        ),
        criterion=(
            "Going from batches of 64 to 1,024 loads an epoch at least 2 times as fast, with a "
            "loader in the training process, with worker processes, and by slices of resident "
            "data; and fewer bytes are read: at least 1.1 times as many at 64."
        ),
        prediction=REFUTED,
        because=(
            "The bytes stay the same, and the overhead of a batch is spread thin long before 64 "
            "examples."
        ),
        source="Mohan et al. 2021",
        references=("mohan2021analyzing",),
    ),
    Claim(
        key="3.7",
        section=INCREASING,
        title="Does a larger batch need more memory?",
        statement="A larger batch needs more memory.",
        arms=(
            Arm(
                "a plain step",
                "exponent of a step's peak memory in the batch size, over the larger batch sizes",
                low=0.15,
            ),
            Arm(
                "with recomputed activations",
                "memory that each further example needs with recomputation over that without",
                low=0.6,
                reference=1.0,
            ),
            Arm(
                "with accumulated micro-batches",
                "exponent of a step's peak memory in the batch size, the micro-batch fixed",
                low=0.15,
            ),
        ),
        criterion=(
            "A plain step's peak memory grows with the batch, by an exponent of at least 0.15; "
            "and neither escape removes the need: with recomputation an example still costs at "
            "least 0.6 of its memory, and with accumulated micro-batches the exponent is still "
            "at least 0.15."
        ),
        prediction=CONDITIONAL,
        because=(
            "Activations grow with the examples held at once; recomputation shrinks them and "
            "accumulation holds fewer at once."
        ),
        source="Chen et al. 2016; Korthikanti et al. 2022",
        references=("chen2016training", "korthikanti2022reducing"),
    ),
    Claim(
        key="3.8",
        section=INCREASING,
        title="Does a larger batch need its learning rate retuned, and larger?",
        statement=(
            "A larger batch may need a larger learning rate to stay stable, so the rate has to "
            "be retuned with care."
        ),
        arms=(
            Arm(
                "retuning below the critical batch size",
                "accuracy lost by using the rate tuned for a batch at least eight times smaller "
                "or larger",
                low=1.0,
                unit="points",
            ),
            Arm(
                "retuning above the critical batch size",
                "accuracy lost by using the rate tuned for a batch at least eight times smaller "
                "or larger",
                low=1.0,
                unit="points",
            ),
            Arm(
                "stability of a large batch",
                "standard deviation of the full loss at a large batch with the small batch's "
                "rate, over that with the scaled rate",
                low=1.1,
                reference=1.0,
            ),
        ),
        criterion=(
            "Retuning: a rate tuned for a batch eight or more times smaller or larger loses at "
            "least 1 point, below the critical batch size and above it. Stability: kept at the "
            "small batch's rate, a large batch's full loss fluctuates at least 1.1 times as much "
            "as at the scaled rate; a run that diverges fluctuates without bound."
        ),
        prediction=CONDITIONAL,
        because=(
            "The best rate moves with the batch below the critical size, but a larger rate never "
            "makes a training more stable."
        ),
        source="Goyal et al. 2017; Ma et al. 2018; Marek et al. 2025; Godbole et al. 2023",
        references=("goyal2017accurate", "ma2018power", "marek2025small", "godbole2023deep"),
    ),
    Claim(
        key="3.9",
        section=INCREASING,
        title="Does a larger batch do worse on test data, and does regularisation mend it?",
        statement=(
            "A larger batch may overfit and do worse on test data, which regularisation usually "
            "mitigates."
        ),
        arms=(
            Arm(
                "without weight decay",
                "test accuracy at the small batch less that at the large batch, at equal steps",
                low=1.0,
                unit="points",
            ),
            Arm(
                "with weight decay tuned at each batch size",
                "test accuracy at the small batch less that at the large batch, at equal steps",
                -1.0,
                1.0,
                "points",
            ),
        ),
        criterion=(
            "With the learning rate tuned at every batch size and at equal steps. The gap is "
            "real: without weight decay the small batch is better by at least 1 point. It is "
            "mended: with weight decay tuned at each batch size the gap lies between -1 and 1 "
            "point."
        ),
        prediction=CONDITIONAL,
        because=(
            "Under equal epochs the gap is real; with equal steps and tuned rates it is small, "
            "and explicit regularisation removes it."
        ),
        source=(
            "Keskar et al. 2017; Hoffer et al. 2017; Shallue et al. 2019; "
            "Geiping et al. 2022; Nado et al. 2021"
        ),
        references=(
            "keskar2017large",
            "hoffer2017train",
            "shallue2019measuring",
            "geiping2022stochastic",
            "nado2021large",
        ),
    ),
)
