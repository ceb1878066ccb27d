"""Twenty departments that ask in their own words, and people whose questions are of none. Synthetic, by a seed.

`prompts` are to learn from, `held_out` to test with: those have other sentences around their subjects, and name the
subjects the other way round ("clause of the contract"), so that no pair of words in a subject was learned. The single
words of the subjects are the same: a classifier that looks at words cannot know those it has never seen.
"""

import random

TOPICS = {
    "legal": "contract clause|liability cap|non-disclosure agreement|governing law|patent licence|court deadline",
    "payroll": "salary slip|overtime pay|holiday allowance|payroll tax|bonus payment|wage garnishment",
    "recruiting": "job advert|candidate interview|cover letter|notice period of the applicant|hiring plan|talent pool",
    "it-support": "password reset|printer driver|vpn client|laptop battery|email inbox|blue screen",
    "network": "firewall rule|vlan trunk|routing table|dns record|switch port|packet loss",
    "procurement": "purchase order|supplier quote|framework agreement|delivery terms|tender document|unit price",
    "logistics": "pallet shipment|customs form|truck route|warehouse slot|container tracking|freight rate",
    "finance": "balance sheet|cash flow|quarterly forecast|depreciation schedule|bank covenant|equity ratio",
    "tax": "vat return|transfer pricing|withholding certificate|tax audit|input tax|fiscal unity",
    "marketing": "campaign slogan|landing page|brand guideline|newsletter subject|target audience|click rate",
    "sales": "customer pitch|discount approval|pipeline review|renewal offer|lead scoring|account plan",
    "support": "refund request|broken parcel|complaint reply|warranty claim|late delivery apology|order status",
    "research": "literature review|lab protocol|hypothesis test|grant proposal|control group|peer review",
    "quality": "defect rate|inspection plan|root cause analysis|corrective action|calibration record|supplier audit",
    "maintenance": "pump bearing|hydraulic oil|spare part|conveyor belt|vibration alarm|lubrication interval",
    "safety": "risk assessment|evacuation route|protective gloves|near miss report|chemical storage|fire drill",
    "facilities": "meeting room|cleaning contract|heating system|parking permit|desk move|elevator repair",
    "travel": "flight booking|hotel rate|per diem|train ticket|visa form|rental car",
    "training": "course catalogue|learning path|certificate exam|workshop agenda|trainer evaluation|e-learning module",
    "press": "press release|journalist question|interview briefing|media list|crisis statement|embargo time",
}
ASKED = (
    "Please help me with the {0}, and mention the {1}.",
    "Write a short note about the {0}; the {1} matters too.",
    "What do I have to know of a {0} before the {1} is due?",
    "Summarise what is said of the {0} and of the {1} in three lines.",
    "Draft a reply: they ask for the {0} and the {1} by Friday.",
    "Check whether the {0} fits the {1}, and list what is missing.",
)
LATER = (
    "Hi, a colleague wants to know about the {0}. Could you explain it in simple terms, together with the {1}?",
    "URGENT!! {0}, {1} -- who decides, and until when??",
    "Rewrite this paragraph so that a newcomer understands why our {0} depends on the {1}.",
    "I was asked yesterday: is there anything new on the {0}? And on the {1}?",
    "Three pros and three cons, as bullets: changing the {0} instead of the {1}.",
    "Turn these remarks into an agenda, first item the {0}, last item the {1}, thirty minutes in all.",
    "Guten Tag, could somebody look into the {0}? It blocks us, as does the {1}.",
)
ELSEWHERE = (
    "Tell me a joke about penguins on the moon.",
    "How long do eggs boil until they are soft?",
    "Compose a sonnet on autumn leaves.",
    "Who won the chess olympiad long ago?",
    "Why is the sea salty and the sky blue?",
    "Translate 'good evening' into Icelandic.",
    "Name five birds that cannot fly.",
    "Explain how a violin makes its sound.",
)


def prompts(number: int, seed: int) -> list[tuple[str, str]]:
    """So many for each department: (prompt, department)."""
    lots = random.Random(seed)
    return [
        (lots.choice(ASKED).format(*lots.sample(words.split("|"), 2)), name)
        for name, words in TOPICS.items()
        for _ in range(number)
    ]


def held_out(number: int, seed: int) -> list[tuple[str, str]]:
    """So many for each department: (prompt, department). Of sentences and pairs of words that `prompts` never has."""
    lots = random.Random(seed)
    return [
        (lots.choice(LATER).format(*map(_turned, lots.sample(words.split("|"), 2))), name)
        for name, words in TOPICS.items()
        for _ in range(number)
    ]


def _turned(subject: str) -> str:
    first, _, rest = subject.partition(" ")
    return f"{rest} of the {first}" if rest else first
