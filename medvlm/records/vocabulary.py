"""What can be found: the one registry of labels, where each is looked for, and how people say it. Torch-free.

A row is `name | kind | places | synonyms`. Places are `modality/body part`, separated by commas. Spellings that data
sets use for the same thing stand under `SPELLINGS` and are read as the registry's name.
"""

from __future__ import annotations

from dataclasses import dataclass

MODALITIES = (
    "x-ray", "ct", "mri", "ultrasound", "endoscopy", "fundus", "dermoscopy", "mammography",
    "histopathology", "microscopy", "fluorescence microscopy", "photograph",
)  # fmt: skip

TABLE = """
left lung | anatomy | x-ray/chest, ct/chest | left pulmonary field; the lung on the left side; lung, left
right lung | anatomy | x-ray/chest, ct/chest | right pulmonary field; the lung on the right side; lung, right
lung | anatomy | ct/chest | lungs; both lungs; pulmonary parenchyma; lung fields
heart | anatomy | x-ray/chest, ct/chest | cardiac silhouette; heart shadow; the cardiac outline
cardiomediastinum | anatomy | x-ray/chest | mediastinum with heart; cardiomediastinal silhouette; mediastinal shadow
airways | anatomy | x-ray/chest | trachea and bronchi; central airways; tracheobronchial tree
left clavicle | anatomy | x-ray/chest | left collarbone; collar bone on the left; clavicle, left
right clavicle | anatomy | x-ray/chest | right collarbone; collar bone on the right; clavicle, right
ground glass opacity | finding | x-ray/chest | ground-glass opacities; hazy opacity; GGO
consolidation | finding | x-ray/chest | consolidated lung; airspace consolidation; dense opacity in the lung
pleural effusion | finding | x-ray/chest | effusion; fluid around the lung; pleural fluid
pneumothorax | finding | x-ray/chest | collapsed lung; air in the pleural space; free pleural air
pneumonia | finding | x-ray/chest | lung infection; pneumonic infiltrate; infected lung
atelectasis | finding | x-ray/chest | collapsed part of the lung; lung collapse; atelectatic lung
lung nodule | finding | x-ray/chest | pulmonary nodule; nodule in the lung; small round lung lesion
lung mass | finding | x-ray/chest | pulmonary mass; mass in the lung; large lung lesion
lung infiltrate | finding | x-ray/chest | pulmonary infiltrate; infiltration; infiltrate in the lung
cardiomegaly | finding | x-ray/chest | enlarged heart; big heart; cardiac enlargement
tubing | device | x-ray/chest | tube; external tubing; catheter tubing
monitoring probe | device | x-ray/chest | ECG electrode; monitoring lead; electrode on the chest
endotracheal tube | device | x-ray/chest | breathing tube; ET tube; intubation tube
central venous line | device | x-ray/chest | central line; central venous catheter; CVC
nasogastric tube | device | x-ray/chest | NG tube; feeding tube; gastric tube
lung cancer | finding | ct/chest | lung tumour; pulmonary malignancy; cancer in the lung
fracture | finding | x-ray/fingers, x-ray/elbow, x-ray/shoulder, x-ray/forearm, x-ray/upper arm, x-ray/wrist, x-ray/forearm and wrist | broken bone; bone break; fracture line
mandible | anatomy | x-ray/teeth | lower jaw; jaw bone; mandibular bone
tooth | anatomy | x-ray/teeth, ct/head | teeth; each tooth; dental crowns and roots
liver | anatomy | ct/abdomen, mri/abdomen | hepatic parenchyma; hepatic organ; the liver tissue
spleen | anatomy | ct/abdomen, mri/abdomen | splenic tissue; splenic organ; the spleen tissue
left kidney | anatomy | ct/abdomen, mri/abdomen | kidney on the left; left renal organ; kidney, left
right kidney | anatomy | ct/abdomen, mri/abdomen | kidney on the right; right renal organ; kidney, right
stomach | anatomy | ct/abdomen | gastric organ; gastric lumen and wall; the stomach wall and content
pancreas | anatomy | ct/abdomen | pancreatic tissue; pancreatic gland; the pancreas gland
gallbladder | anatomy | ct/abdomen | gall bladder; bile bladder; cholecyst
aorta | anatomy | ct/abdomen | aortic vessel; main artery; abdominal aorta
inferior vena cava | anatomy | ct/abdomen | IVC; lower vena cava; caval vein
portal and splenic veins | anatomy | ct/abdomen | portal vein; splenic vein; portal venous system
left adrenal gland | anatomy | ct/abdomen | left suprarenal gland; adrenal on the left; left adrenal
right adrenal gland | anatomy | ct/abdomen | right suprarenal gland; adrenal on the right; right adrenal
oesophagus | anatomy | ct/abdomen, ct/chest, ct/neck | gullet; food pipe; oesophageal tube
duodenum | anatomy | ct/abdomen | first part of the small intestine; duodenal loop; duodenal bowel
small bowel | anatomy | ct/abdomen, ct/pelvis | small intestine; loops of small bowel; jejunum and ileum
colon | anatomy | ct/abdomen, ct/pelvis | large intestine; large bowel; colonic loops
rectum | anatomy | ct/pelvis | rectal bowel; end of the large bowel; rectal ampulla
bladder | anatomy | ct/pelvis | urinary bladder; bladder filled with urine; vesica
left femoral head | anatomy | ct/pelvis | head of the left femur; left hip ball; femoral head, left
right femoral head | anatomy | ct/pelvis | head of the right femur; right hip ball; femoral head, right
liver cancer | finding | ct/abdomen | liver tumour; hepatic malignancy; cancer in the liver
spinal cord | anatomy | ct/abdomen, ct/chest, ct/neck, ct/head | medulla spinalis; cord in the spinal canal; spinal canal content
trachea | anatomy | ct/neck | windpipe; airway in the neck; tracheal lumen
larynx | anatomy | ct/neck | voice box; laryngeal airway; laryngeal structure
left mandible | anatomy | ct/head | left lower jaw; left jaw bone; mandible, left
right mandible | anatomy | ct/head | right lower jaw; right jaw bone; mandible, right
left parotid gland | anatomy | ct/head | left parotid; left salivary gland; parotid, left
right parotid gland | anatomy | ct/head | right parotid; right salivary gland; parotid, right
left temporal lobe | anatomy | ct/brain | left temporal brain; temporal lobe, left; temporal cortex on the left
right temporal lobe | anatomy | ct/brain | right temporal brain; temporal lobe, right; temporal cortex on the right
brain stem | anatomy | ct/brain, ct/head | brainstem; pons and medulla; truncus of the brain
left eye | anatomy | ct/brain | left eyeball; left globe; eye on the left
right eye | anatomy | ct/brain | right eyeball; right globe; eye on the right
left ear | anatomy | ct/brain | left inner ear; ear on the left; ear, left
right ear | anatomy | ct/brain | right inner ear; ear on the right; ear, right
brain tumour | finding | mri/brain | intracranial tumour; brain mass; tumour in the brain
glioma | finding | mri/brain | glial tumour; glial brain tumour; gliomatous mass
meningioma | finding | mri/brain | meningeal tumour; dural tumour; tumour of the meninges
pituitary tumour | finding | mri/brain | pituitary adenoma; tumour of the pituitary gland; sellar mass
brain edema | finding | mri/brain | cerebral oedema; brain swelling; peritumoural edema
enhancing brain tumour | finding | mri/brain | enhancing tumour; contrast-enhancing tumour part; active enhancing tumour
non-enhancing brain tumour | finding | mri/brain | non-enhancing tumour; tumour part without enhancement; tumour core without enhancement
new or enlarged lesion | finding | mri/brain | new MS lesion; new plaque; growing white matter lesion
left ventricle | anatomy | mri/heart | left ventricular cavity; LV blood pool; LV cavity
right ventricle | anatomy | mri/heart | right ventricular cavity; RV blood pool; RV cavity
left ventricular myocardium | anatomy | mri/heart | myocardium; LV wall; heart muscle
benign tumour | finding | ultrasound/breast | benign breast lesion; benign breast mass; fibroadenoma
malignant tumour | finding | ultrasound/breast | breast cancer; malignant breast mass; breast carcinoma
thyroid nodule | finding | ultrasound/thyroid | nodule in the thyroid; thyroid lesion; thyroid lump
fetal head | anatomy | ultrasound/fetal head | foetal skull; head of the fetus; baby's head
mass | finding | mammography/breast | breast mass on mammogram; mammographic mass; rounded density
calcification | finding | mammography/breast | calcifications; microcalcifications; calcium specks
architectural distortion | finding | mammography/breast | distorted breast architecture; parenchymal distortion; distortion
asymmetry | finding | mammography/breast | breast asymmetry; asymmetric density; focal asymmetry
polyp | finding | endoscopy/colon | polyps; colonic polyp; growth in the bowel
skin lesion | finding | dermoscopy/skin | mole; naevus; pigmented lesion
optic disc | anatomy | fundus/retina | optic nerve head; papilla; optic disk
optic cup | anatomy | fundus/retina | cup of the optic disc; physiological cup; cup of the optic nerve
retinal vessels | anatomy | fundus/retina | blood vessels; retinal vasculature; vessel tree
retinal arteries | anatomy | fundus/retina | arterioles; retinal arterioles; arterial vessels
retinal veins | anatomy | fundus/retina | venules; retinal venules; venous vessels
microaneurysms | finding | fundus/retina | microaneurysm; tiny red dots; small retinal aneurysms
haemorrhages | finding | fundus/retina | bleeding; retinal bleeding; retinal haemorrhage
hard exudates | finding | fundus/retina | exudates; yellow lipid deposits; lipid exudates
soft exudates | finding | fundus/retina | cotton wool spots; cotton-wool spot; fluffy white spots
nucleus | object | fluorescence microscopy/cells, histopathology/tissue, microscopy/cells, histopathology/lung, histopathology/breast, histopathology/kidney, histopathology/prostate | nuclei; cell nuclei; stained nuclei
gland | object | histopathology/colon | glands; colonic crypts; glandular structures
red blood cell | object | microscopy/blood | red blood cells; erythrocytes; red cells
white blood cell | object | microscopy/blood | white blood cells; leukocytes; white cell
platelet | object | microscopy/blood | platelets; thrombocytes; small platelet cells
"""

# Types of one thing, of which an image shows at most one: which it is may be wrong where the thing itself is not.
TYPES = (
    ("benign tumour", "malignant tumour"),
    ("glioma", "meningioma", "pituitary tumour"),
)

BRANCHING = ("retinal vessels", "retinal arteries", "retinal veins", "airways")

SPELLINGS = {
    "esophagus": "oesophagus",
    "enhancing brain tumor": "enhancing brain tumour",
    "non-enhancing brain tumor": "non-enhancing brain tumour",
    "brain tumor": "brain tumour",
    "pituitary tumor": "pituitary tumour",
    "benign tumor": "benign tumour",
    "malignant tumor": "malignant tumour",
    "hemorrhages": "haemorrhages",
    "brain oedema": "brain edema",
}


@dataclass(frozen=True)
class Label:
    name: str
    kind: str  # anatomy | finding | device | object
    places: frozenset[tuple[str, str]]  # (modality, body part)
    synonyms: tuple[str, ...]


def _parse(table: str) -> dict[str, Label]:
    labels = {}
    for row in table.strip().splitlines():
        name, kind, places, synonyms = (cell.strip() for cell in row.split("|"))
        pairs = frozenset((m, b) for m, _, b in (p.strip().partition("/") for p in places.split(",")))
        labels[name] = Label(name, kind, pairs, tuple(s.strip() for s in synonyms.split(";")))
    return labels


LABELS = _parse(TABLE)
_NAMES = {s.lower(): label.name for label in LABELS.values() for s in label.synonyms} | {n: n for n in LABELS}


def canonical(label: str) -> str:
    """The registry's name of a label as a data set spells it; unknown labels come back as they are."""
    text = " ".join(label.lower().split())
    return SPELLINGS.get(text, text)


def known_name(phrase: str) -> str | None:
    """The label that a phrase names by its name, a spelling or a synonym; `None` for any other phrase."""
    return _NAMES.get(canonical(phrase))


def is_finding(label: str) -> bool:
    """Whether a label is an abnormality rather than normal anatomy."""
    return canonical(label) in LABELS and LABELS[canonical(label)].kind == "finding"


def other_types(label: str) -> tuple[str, ...]:
    """The types of the same thing that a label excludes, such as the malignant tumour for the benign one."""
    return tuple(other for group in TYPES if label in group for other in group if other != label)


def parts(label: str) -> str:
    """What a label's parts in one image are: "many" things, "one" structure, or the branches of a "tree"."""
    if label in BRANCHING:
        return "tree"
    return "one" if label in LABELS and LABELS[label].kind == "anatomy" and label not in ("tooth", "lung") else "many"


def expected_labels(modality: str, body_part: str) -> list[str]:
    """What is looked for in an image of this kind, in the registry's order; empty for an unknown kind."""
    return [name for name, label in LABELS.items() if (modality, body_part) in label.places]


def surely_absent(label: str, modality: str, body_part: str) -> bool:
    """True where a label cannot be in such an image: neither its modalities nor its body parts fit."""
    places = LABELS[label].places
    return modality not in {m for m, _ in places} and body_part not in {b for _, b in places}
