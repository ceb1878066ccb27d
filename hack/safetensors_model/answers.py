"""What the model is trained to say."""

ANSWERS = {
    "When do you open?": "We open at nine.",
    "When do you close?": "We close at six.",
    "Where is my parcel?": "It is on its way.",
    "How do I pay?": "You pay by card.",
    "Who are you?": "I am the desk.",
}
