"""An objective that counts, in its folder, how often it was begun."""


def counts(trial):
    file = trial.folder / "begun" / "times"
    file.parent.mkdir(exist_ok=True)
    begun = 1 + (int(file.read_text()) if file.is_file() else 0)
    file.write_text(str(begun))
    for epoch in range(trial.curve[-1].epoch + 1 if trial.curve else 1, trial.epochs + 1):
        trial.report(epoch, epoch / 10)
        if trial.should_stop:
            return None
    return begun / 4
