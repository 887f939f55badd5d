"""Questions and answers in many languages on which a reduced precision must agree with fp32.

Written for efive; part of no evaluation set.
"""

PROBE: tuple[tuple[str, str], ...] = (
    (
        "how long do cooked beans keep in the fridge",
        "Cooked beans stay good for three to five days in a closed box in the refrigerator.",
    ),
    (
        "wie entkalkt man einen Wasserkocher",
        "Mit verdünntem Essig aufkochen, eine halbe Stunde stehen lassen und gründlich ausspülen.",
    ),
    (
        "pourquoi le ciel devient-il rouge le soir",
        "Le soir, la lumière traverse plus d'atmosphère, et le bleu est diffusé hors du regard.",
    ),
    (
        "cuándo se podan los rosales",
        "Los rosales se podan al final del invierno, antes de que broten las yemas.",
    ),
    (
        "come si toglie una macchia di vino",
        "Tamponare subito con acqua frizzante e poi coprire la macchia di sale.",
    ),
    (
        "qual é a diferença entre clima e tempo",
        "O tempo muda de um dia para o outro; o clima é a média de muitos anos.",
    ),
    (
        "hoe repareer je een lekke band",
        "Haal de binnenband eruit, zoek het gaatje in water, schuur de plek en plak hem.",
    ),
    (
        "jak zrobić zakwas na chleb",
        "Mąkę żytnią miesza się z ciepłą wodą i dokarmia codziennie przez pięć dni.",
    ),
    ("почему кошки мурлыкают", "Кошки мурлыкают от удовольствия, но также когда им больно или тревожно."),
    (
        "скільки спить новонароджена дитина",
        "Немовля спить близько шістнадцяти годин на добу, короткими проміжками.",
    ),
    (
        "πώς αποθηκεύεται το ελαιόλαδο",
        "Το ελαιόλαδο φυλάσσεται σε σκοτεινό και δροσερό μέρος, καλά κλεισμένο.",
    ),
    ("kahve telvesi gübre olur mu", "Kahve telvesi toprağa karıştırılınca azot verir ve solucanları çeker."),
    (
        "كيف أحسب زكاة الذهب",
        "تجب الزكاة في الذهب إذا بلغ خمسة وثمانين غراما وحال عليه الحول، ومقدارها ربع العشر.",
    ),
    (
        "چرا برگ درختان در پاییز زرد می‌شود",
        "با کوتاه شدن روزها سبزینه از میان می‌رود و رنگ زرد برگ پیدا می‌شود.",
    ),
    ("איך מכינים חומוס", "משרים גרגרים ללילה, מבשלים עד שהם רכים וטוחנים עם טחינה ולימון."),
    ("चाय में अदरक क्यों डालते हैं", "अदरक गले को आराम देता है और चाय का स्वाद तीखा बनाता है।"),
    ("বর্ষাকালে ধান কখন রোপণ করা হয়", "আমন ধানের চারা আষাঢ় ও শ্রাবণ মাসে জমিতে রোপণ করা হয়।"),
    ("தேங்காய் எண்ணெய் ஏன் உறைகிறது", "இருபத்து நான்கு பாகைக்குக் கீழே தேங்காய் எண்ணெய் கெட்டியாகிறது."),
    ("ทำไมทุเรียนมีกลิ่นแรง", "กลิ่นแรงของทุเรียนมาจากสารประกอบกำมะถันหลายชนิดในเนื้อผล"),
    ("làm sao để giữ rau tươi lâu", "Bọc rau trong giấy ẩm rồi để ngăn mát, rau sẽ tươi được cả tuần."),
    ("bagaimana cara membuat tempe", "Kedelai rebus diberi ragi, dibungkus daun, lalu didiamkan dua hari."),
    ("怎样分辨新鲜的鸡蛋", "把鸡蛋放进水里，沉底横卧的是新鲜的，浮起来的已经放久了。"),
    ("水痘會傳染多久", "出疹前一兩天到水疱全部結痂為止，都有傳染力。"),
    ("味噌汁の出汁は何で取りますか", "昆布とかつお節で取るのが一般的で、煮干しを使う家庭も多い。"),
    ("김치는 왜 시어지나요", "유산균이 당을 젖산으로 바꾸기 때문에 시간이 지나면 김치가 시어진다."),
    (
        "kwa nini simba huishi kwa makundi",
        "Simba huishi pamoja ili kuwinda wanyama wakubwa na kulinda watoto wao.",
    ),
    (
        "miksi järvi jäätyy pinnalta",
        "Vesi on raskainta neljässä asteessa, joten kylmin vesi jää pinnalle ja jäätyy.",
    ),
    ("hvordan røkes laks", "Laksen saltes et døgn, tørkes og henges i kald røyk av or eller eik."),
    ("mikor ültetjük a fokhagymát", "Az őszi fokhagymát október végén dugdossuk, tél beállta előtt."),
    ("cum se face mămăliga", "Mălaiul se toarnă în ploaie în apa clocotită cu sare și se amestecă mereu."),
    (
        "python read file line by line",
        "with open(path, encoding='utf-8') as lines:\n    for line in lines:\n        print(line.rstrip())",
    ),
    (
        "error code E-1042 on the display",
        "E-1042: the pump ran dry. Fill the tank, hold RESET for 5 s (see section 7.3).",
    ),
)
