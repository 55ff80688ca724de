"""What no explanation may say, as expressions for each language, the case of letters aside."""

STATEMENTS = {
    "en": r"you (are|have|feel|seem|need|may|suffer|struggle)\b|you['\u2019]re|because of your"
    r"|your (anxiety|depression|mood|mental|health|problem|illness|condition|symptom|disorder|trauma)",
    "es": r"\b(eres|est[aá]s|tienes|necesitas|pareces|te sientes|sufres|padeces)\b"
    r"|tus? (ansiedad|depresi|ánimo|salud|problema|enfermedad|trastorno|s[ií]ntoma|trauma)",
    "hi": r"आप .*(हैं|लगते|चाहिए)$|आपको .*चाहिए|आपक[ाीे] (घबराहट|तनाव|सेहत|समस्या|अवसाद|बीमारी|रोग|विकार|मन|सदमा)",
    "ar": r"قلقك|مزاجك|صحتك|مشكلتك|اكتئابك|مرضك|صدمتك|تحتاج|لديك|تبدو|تعاني|\bأنت\b|لأنك (قلق|مكتئب|حزين|متوتر|مريض|بحاجة)",
}
"""Statements about the person: they stand nowhere, not even in the name of a resource or a topic."""

CONDITIONS = {
    "en": r"diagnos|disorder|symptom|patient|illness|sick|condition|depress|suffer|struggl",
    "es": r"diagn|trastorno|s[ií]ntoma|paciente|enferm|condici|depres|sufr|padec",
    "hi": r"रोग|बीमार|विकार|लक्षण|मरीज़|अवसाद|पीड़ित|निदान",
    "ar": r"تشخيص|مرض|مريض|اضطراب|أعراض|اكتئاب|معاناة",
}
"""What somebody may have: a title may be about it, being somebody's name for a thing; topics and our own words are not."""

OFFERS = {
    "en": r"treat|therapy|cure|\bhelps?\b",
    "es": r"trata(r|miento)|terapia|cura|ayuda",
    "hi": r"इलाज|उपचार|मदद",
    "ar": r"علاج|شفاء|تساعد",
}
"""What a resource may do: titles and topics may name it, as "finding help" does; our own words claim no such thing."""

INFERENCES = {
    language: "|".join((STATEMENTS[language], CONDITIONS[language], OFFERS[language]))
    for language in STATEMENTS
}
"""All of it: what our own words are held to."""
