"""Questions to the demo model, and what an answer has to hold."""

ASKED = {
    "closing": ("when do you close?", "17:30"),
    "returns": ("If I'm not happy with my purchase, how long do I have to bring it back?", "30 days"),
    "delivery": ("roughly how many days until a parcel from you lands on my doorstep?", "2 to 3 working days"),
    "cost": ("Does the price include shipping or is there an extra fee?", "6\\.90 euros"),
    "countries": ("Would you ship a thermometer to a customer in Italy?", "European Union"),
    "warranty": ("For how long is my new oscilloscope under guarantee?", "3-year warranty"),
}
