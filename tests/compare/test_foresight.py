"""What a declaration can and cannot show is said before anything runs."""

import re
from dataclasses import replace

from tuner.compare.foresight import Design, outlook

WHOLE = Design(
    n=200,
    k=10,
    independent=True,
    repeats=10,
    searches=20,
    seeds=10,
    has_control=True,
    has_target=True,
)


def warnings(**changes: object) -> list[str]:
    return [one.text for one in outlook(replace(WHOLE, **changes)) if one.warns]


def test_a_whole_protocol_gives_no_warning_and_says_what_it_can_show():
    texts = [each.text for each in outlook(WHOLE)]
    assert warnings() == []
    assert len(texts) == 5
    assert texts[0].startswith("20 independent searches of 10 trials per arm, each one's selected")
    assert "with 80% power, a median difference of " in texts[0]
    assert texts[0].endswith("standard deviations of such a score, if they are normal.")
    assert "200 trials per arm show, with 80% power, a difference" in texts[1]
    assert "5% of one arm's trials reach the target" in texts[2]
    assert (
        "10 repeats of each search show, with 80% power, a mean difference of 1 of its" in texts[3]
    )
    assert "gap of 1.3 of a run's standard deviations" in texts[4]
    assert "a collapse that befalls 15% of all runs or more" in texts[4]


def test_looks_are_said_and_what_they_save_is_simulated():
    looked = [each.text for each in outlook(replace(WHOLE, looks=(0.5, 0.75)))]
    assert looked[1].startswith("The verdict is looked at after 10 and after 15 of 20 searches")
    (stops,) = [
        each.text
        for each in outlook(replace(WHOLE, looks=(0.5, 0.75), stops=True))
        if "ends after" in each.text
    ]
    saved = [int(share) for share in re.findall(r"(\d+)%", stops)]
    assert stops.startswith("It ends after 10 and after 15 of 20 searches if the verdict is")
    assert 10 < saved[0] < 30 < saved[1] < 50 and saved[2] <= 2


def test_too_few_trials_for_an_interval_are_warned_of_with_the_number_it_takes():
    (warning,) = warnings(n=60, searches=10)
    assert "60 trials per arm give no interval of the best of 10" in warning
    assert "it takes at least 100, or a smaller k" in warning
    assert "it takes at least 20." in warnings(n=19, k=2)[0]
    assert "it takes at least 1,000, or k = 2" in warnings(n=19, k=1)[0]


def test_too_few_pairs_of_searches_are_warned_of_with_the_number_it_takes():
    (warning,) = warnings(searches=9)
    assert "no verdict can rest on them; it takes at least 10, 100 trials per arm" in warning


def test_five_repeats_can_never_reach_the_usual_level():
    (warning,) = warnings(repeats=5)
    assert "5 repeats of a search can never reach p = 0.05" in warning
    assert "5 pairs is 0.0625" in warning


def test_six_repeats_reach_it_but_carry_no_verdict():
    (warning,) = warnings(repeats=6)
    assert "no verdict rests on fewer than 10" in warning


def test_one_search_by_a_sampler_that_learns_is_a_single_observation():
    (warning,) = warnings(independent=False, repeats=0, searches=0)
    assert "single observation" in warning and "at least 10 times" in warning


def test_what_was_not_declared_is_warned_of():
    texts = warnings(seeds=0, searches=0, has_control=False, has_target=False)
    assert [text.split(":")[0] for text in texts] == [
        "Nothing is trained afresh (retrain_seeds = 0), so the verdict can only be unconfirmed",
        "No incumbent is retrained",
        "No arm with narrow ranges is declared as control",
        "No target is declared",
    ]
    assert "ten or more" in warnings(seeds=1)[0]
    assert "3 fresh seeds" in warnings(seeds=3)[0]
