"""Two Optuna studies compared from Python: did the narrower ranges save tuning?

The studies need not come from this software. Here two random searches tune scikit-learn's logistic
regression on its 8x8 digits, the old one over the wide ranges of someone who does not know the
problem, the new one over narrow ranges. The comparison says how much better the new one does at
equal budgets, and how sure that is.

    python examples/compare_two_studies.py

Takes some seconds on one core.
"""

import optuna
from rich.console import Console
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from tuner.compare import compare_scores, compare_studies
from tuner.compare.report.terminal import print_table

N_TRIALS = 60
RANGES = {
    "wide": {"alpha": (1e-8, 1e2), "eta0": (1e-6, 1e2)},
    "narrow": {"alpha": (1e-6, 1e-2), "eta0": (1e-4, 1e0)},
}


def search(name: str) -> optuna.Study:
    """Random search; the study holds the validation accuracy of every trial."""
    x, y = load_digits(return_X_y=True)
    x = x / 16

    def objective(trial: optuna.Trial) -> float:
        settings = {
            key: trial.suggest_float(key, low, high, log=True)
            for key, (low, high) in RANGES[name].items()
        }
        model = SGDClassifier(
            "log_loss",
            learning_rate="constant",
            max_iter=5,
            tol=None,
            random_state=trial.number,
            **settings,
        )
        return float(model.fit(x[:1200], y[:1200]).score(x[1200:], y[1200:]))

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(study_name=name, direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=N_TRIALS)
    return study


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    narrow, wide = search("narrow"), search("wide")
    fixed_before = {"target": 0.9, "k": 2, "unit": "accuracy", "sampler": "random"}

    # The new one first. In place of a study: its address, such as "sqlite:///a.db::narrow",
    # "journal.log::narrow", "grpc://host:13000::narrow", or an export, such as "wandb.csv".
    comparison = compare_studies(
        narrow, wide, workload="logistic regression on digits", **fixed_before
    )
    print_table(comparison, Console())

    # Or the scores alone, one a trial.
    new, old = ([trial.value for trial in study.trials] for study in (narrow, wide))
    print(compare_scores(new, old, **fixed_before).verdict.heading)
