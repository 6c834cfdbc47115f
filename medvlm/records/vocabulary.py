"""What can be found: the one registry of labels, where each is looked for, and how people say it. Torch-free.

A row is `name | kind | places | synonyms`. Places are `modality/body part`, separated by commas. Spellings that data
sets use for the same thing stand under `SPELLINGS` and are read as the registry's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

MODALITIES = (
    "x-ray", "ct", "mri", "ultrasound", "endoscopy", "fundus", "dermoscopy", "mammography",
    "histopathology", "microscopy", "fluorescence microscopy", "photograph",
)  # fmt: skip

TABLE = """
left lung | anatomy | x-ray/chest, ct/chest | left pulmonary field; the lung on the left side; lung, left; left lung field; left lung tissue; left lung parenchyma; left pulmonary parenchyma; lung on the left; pulmonary field on the left; whole left lung; pulmo sinister; L lung
right lung | anatomy | x-ray/chest, ct/chest | right pulmonary field; the lung on the right side; lung, right; right lung field; right lung tissue; right lung parenchyma; right pulmonary parenchyma; lung on the right; pulmonary field on the right; whole right lung; pulmo dexter; R lung
lung | anatomy | ct/chest | lungs; both lungs; pulmonary parenchyma; lung fields; lungs on both sides; pulmones; pulmonary tissue; pair of lungs; bilateral lungs; pulmonary fields; lung parenchyma; pulmonary organs
heart | anatomy | x-ray/chest, ct/chest | cardiac silhouette; heart shadow; the cardiac outline; cardiac shadow; cardiac organ; cardiac chambers; heart outline; heart shape; whole heart; heart region; cardiac area; cardiac structures
cardiomediastinum | anatomy | x-ray/chest | mediastinum with heart; cardiomediastinal silhouette; mediastinal shadow; cardio-mediastinal silhouette; cardiomediastinal shadow; cardiomediastinal contour; cardiomediastinal outline; cardiovascular silhouette; cardiovascular shadow; mediastinum; mediastinal silhouette; heart and mediastinal shadow
airways | anatomy | x-ray/chest | trachea and bronchi; central airways; tracheobronchial tree; bronchial tree; tracheo-bronchial tree; trachea and mainstem bronchi; large airways; conducting airways; airway tree; bronchi; breathing passages; respiratory passages
left clavicle | anatomy | x-ray/chest | left collarbone; collar bone on the left; clavicle, left; left clavicula; clavicula sinistra; left clavicular bone; left clavicle bone; clavicle on the left; collarbone on the left; clavicle of the left side; collarbone, left; L clavicle
right clavicle | anatomy | x-ray/chest | right collarbone; collar bone on the right; clavicle, right; right clavicula; clavicula dextra; right clavicular bone; right clavicle bone; clavicle on the right; collarbone on the right; clavicle of the right side; collarbone, right; R clavicle
ground glass opacity | finding | x-ray/chest | ground-glass opacities; hazy opacity; GGO; ground-glass opacity; ground glass opacities; ground-glass opacification; ground-glass attenuation; hazy opacities; hazy lung opacity; hazy opacification; frosted glass opacity; faint lung opacity
consolidation | finding | x-ray/chest | consolidated lung; airspace consolidation; dense opacity in the lung; consolidations; lung consolidation; pulmonary consolidation; alveolar consolidation; air-space opacity; airspace opacification; airspace disease; solidified lung; alveolar opacity
pleural effusion | finding | x-ray/chest | effusion; fluid around the lung; pleural fluid; pleural effusions; hydrothorax; pleural fluid collection; effusion in the pleural space; fluid between lung and ribs; fluid outside the lung; liquid around the lung; build-up of pleural fluid; effusion around the lung
pneumothorax | finding | x-ray/chest | collapsed lung; air in the pleural space; free pleural air; PTX; pneumothoraces; punctured lung; pleural gas; free gas in the pleura; air trapped in the pleura; air in the pleural cavity; gas in the pleural space; intrapleural air
pneumonia | finding | x-ray/chest | lung infection; pneumonic infiltrate; infected lung; pulmonary infection; infection of the lung; pneumonic opacity; pneumonic change; pulmonary inflammation; lung inflammation; inflammation of the lung; pneumonic consolidation; lower respiratory tract infection
atelectasis | finding | x-ray/chest | collapsed part of the lung; lung collapse; atelectatic lung; atelectases; atelectatic area; atelectatic segment; pulmonary atelectasis; collapsed lung segment; partially collapsed lung; atelectatic change; atelectatic opacity; poorly inflated lung
lung nodule | finding | x-ray/chest | pulmonary nodule; nodule in the lung; small round lung lesion; lung nodules; pulmonary nodules; nodular lung lesion; nodular lung opacity; intrapulmonary nodule; small nodule in the lung; small lump in the lung; round opacity in the lung; nodular density in the lung
lung mass | finding | x-ray/chest | pulmonary mass; mass in the lung; large lung lesion; lung masses; pulmonary masses; intrapulmonary mass; large pulmonary lesion; bulky lung lesion; space-occupying lung lesion; mass-like lung opacity; large round lung opacity; mass-like pulmonary opacity
lung infiltrate | finding | x-ray/chest | pulmonary infiltrate; infiltration; infiltrate in the lung; lung infiltrates; pulmonary infiltrates; lung infiltration; pulmonary infiltration; infiltrative opacity; infiltrative lung shadow; parenchymal infiltrate; infiltrate in the lung tissue; infiltrative lung opacity
cardiomegaly | finding | x-ray/chest | enlarged heart; big heart; cardiac enlargement; megalocardia; enlargement of the heart; oversized heart; dilated heart; increased heart size; increased cardiac size; enlarged cardiac shadow; increased cardiothoracic ratio; raised cardiothoracic ratio
tubing | device | x-ray/chest | tube; external tubing; catheter tubing; external tubes; overlying tubing; plastic tubing; medical tubing; overlying tube; flexible tubing; support tubing; tubing over the chest; tubing outside the body
monitoring probe | device | x-ray/chest | ECG electrode; monitoring lead; electrode on the chest; ECG electrodes; EKG electrode; ECG lead; monitoring electrode; chest electrode; adhesive electrode; heart monitor electrode; telemetry lead; monitoring sensor
endotracheal tube | device | x-ray/chest | breathing tube; ET tube; intubation tube; endotracheal tubes; tracheal tube; orotracheal tube; endotracheal catheter; endotracheal intubation tube; tracheal intubation tube; respirator tube; breathing tube in the throat; tube inserted into the trachea
central venous line | device | x-ray/chest | central line; central venous catheter; CVC; CVL; CV line; central IV line; central intravenous line; central catheter; central vein catheter; central venous cannula; central vascular catheter; deep vein catheter
nasogastric tube | device | x-ray/chest | NG tube; feeding tube; gastric tube; naso-gastric tube; NG-tube; nasal feeding tube; enteric tube; enteral feeding tube; nasal gastric tube; ryle's tube; nose feeding tube; gastric decompression tube
lung cancer | finding | ct/chest | lung tumour; pulmonary malignancy; cancer in the lung; cancer of the lung; lung tumor; pulmonary tumour; pulmonary tumor; malignant lung tumour; lung neoplasm; bronchogenic carcinoma; pulmonary cancer; lung malignancy
fracture | finding | x-ray/fingers, x-ray/hand, x-ray/elbow, x-ray/shoulder, x-ray/forearm, x-ray/upper arm, x-ray/wrist, x-ray/forearm and wrist, x-ray/thigh, x-ray/knee, x-ray/lower leg, x-ray/ankle, x-ray/hip, x-ray/pelvis | broken bone; bone break; fracture line; fractures; fractured bone; bone fracture; fracture of the bone; fracture site; fractured area; osseous fracture; snapped bone; bone fissure
mandible | anatomy | x-ray/teeth | lower jaw; jaw bone; mandibular bone; mandibula; jawbone; inferior jaw; bone of the lower jaw; mandibular arch; mandibular body and rami; lower jaw arch; whole lower jaw; lower jaw contour
tooth | anatomy | x-ray/teeth, ct/head | teeth; each tooth; dental crowns and roots; individual teeth; dental structures; dental crowns; dentes; tooth with its root; natural teeth; dental elements; dental units; teeth in the jaw
liver | anatomy | ct/abdomen, mri/abdomen | hepatic parenchyma; hepatic organ; the liver tissue; hepar; hepatic gland; hepatic lobes; liver lobes; right and left liver lobe; whole liver; hepatic structure; hepatic area; big gland of the upper abdomen
spleen | anatomy | ct/abdomen, mri/abdomen | splenic tissue; splenic organ; the spleen tissue; lien; whole spleen; spleen organ; splenic pulp; splenic body; splenic structure; splenic area; spleen in the left abdomen; lymphatic organ of the abdomen
left kidney | anatomy | ct/abdomen, mri/abdomen | kidney on the left; left renal organ; kidney, left; ren sinister; left renal tissue; left renal structure; left renal cortex and medulla; left renal area; kidney on the left side; renal organ on the left; whole left kidney; L kidney
right kidney | anatomy | ct/abdomen, mri/abdomen | kidney on the right; right renal organ; kidney, right; ren dexter; right renal tissue; right renal structure; right renal cortex and medulla; right renal area; kidney on the right side; renal organ on the right; whole right kidney; R kidney
stomach | anatomy | ct/abdomen | gastric organ; gastric lumen and wall; the stomach wall and content; gaster; gastric cavity; gastric pouch; gastric wall; gastric fundus and corpus; gastric structure; stomach lumen; whole stomach; stomach with its contents
pancreas | anatomy | ct/abdomen | pancreatic tissue; pancreatic gland; the pancreas gland; pancreatic organ; pancreas tissue; whole pancreas; pancreatic structure; pancreatic region; pancreatic soft tissue; pancreatic lobules; digestive gland near the duodenum; gland of pancreatic juice
gallbladder | anatomy | ct/abdomen | gall bladder; bile bladder; cholecyst; gall-bladder; vesica biliaris; biliary bladder; biliary sac; biliary reservoir; bile reservoir; bile pouch; gallbladder lumen; gallbladder wall and lumen
aorta | anatomy | ct/abdomen | aortic vessel; main artery; abdominal aorta; aorta abdominalis; abdominal aortic vessel; descending aorta; aortic trunk; aortic tube; main abdominal artery; major abdominal artery; main artery of the abdomen; large central artery
inferior vena cava | anatomy | ct/abdomen | IVC; lower vena cava; caval vein; inferior caval vein; lower caval vein; inferior cava; caval lumen; IVC lumen; caval vessel; inferior caval vessel; main vein to the heart; large vein beside the spine
portal and splenic veins | anatomy | ct/abdomen | portal vein; splenic vein; portal venous system; portal and splenic vein; portal vein and splenic vein; portosplenic veins; splenoportal veins; main portal vein; hepatic portal vein; portal venous trunk; veins of the portal system; lienal vein
left adrenal gland | anatomy | ct/abdomen | left suprarenal gland; adrenal on the left; left adrenal; left adrenal body; left adrenal tissue; left adrenal cortex and medulla; left suprarenal body; left suprarenal organ; adrenal gland on the left; suprarenal gland on the left; adrenal gland, left; L adrenal gland
right adrenal gland | anatomy | ct/abdomen | right suprarenal gland; adrenal on the right; right adrenal; right adrenal body; right adrenal tissue; right adrenal cortex and medulla; right suprarenal body; right suprarenal organ; adrenal gland on the right; suprarenal gland on the right; adrenal gland, right; R adrenal gland
oesophagus | anatomy | ct/abdomen, ct/chest, ct/neck | gullet; food pipe; oesophageal tube; esophagus; esophageal tube; foodpipe; gullet tube; oesophageal lumen; food passage; muscular food tube; oesophageal passage; food-pipe
duodenum | anatomy | ct/abdomen | first part of the small intestine; duodenal loop; duodenal bowel; duodenal loops; duodenal segment; duodenal C-loop; duodenal passage; duodenal lumen; duodenal wall; first part of the small bowel; first small bowel segment; proximal small bowel
small bowel | anatomy | ct/abdomen, ct/pelvis | small intestine; loops of small bowel; jejunum and ileum; intestinum tenue; jejunum; ileum; coils of small bowel; enteric loops; enteric bowel; small-intestinal loops; narrow intestine; small intestinal tract
colon | anatomy | ct/abdomen, ct/pelvis | large intestine; large bowel; colonic loops; colonic bowel; colonic segments; large gut; intestinum crassum; large bowel loops; caecum and colon; cecum and colon; large intestinal tract; loops of large bowel
rectum | anatomy | ct/pelvis | rectal bowel; end of the large bowel; rectal ampulla; intestinum rectum; anorectum; rectal canal; rectal pouch; rectal vault; rectal cavity; straight bowel; last part of the large intestine; final section of the bowel
bladder | anatomy | ct/pelvis | urinary bladder; bladder filled with urine; vesica; urine bladder; bladder lumen; full bladder; filled bladder; pelvic bladder; vesical cavity; urinary reservoir; urine reservoir; urinary pouch
left femoral head | anatomy | ct/pelvis | head of the left femur; left hip ball; femoral head, left; left femur head; left hip head; left femoral ball; left capital femoral epiphysis; left thigh bone head; left-sided femoral head; femoral head on the left; femoral head of the left hip; femur head, left
right femoral head | anatomy | ct/pelvis | head of the right femur; right hip ball; femoral head, right; right femur head; right hip head; right femoral ball; right capital femoral epiphysis; right thigh bone head; right-sided femoral head; femoral head on the right; femoral head of the right hip; femur head, right
liver cancer | finding | ct/abdomen | liver tumour; hepatic malignancy; cancer in the liver; liver tumor; hepatic tumour; hepatic tumor; hepatic cancer; cancer of the liver; malignant liver lesion; liver malignancy; liver neoplasm; hepatic neoplasm
spinal cord | anatomy | ct/abdomen, ct/chest, ct/neck, ct/head | medulla spinalis; cord in the spinal canal; spinal canal content; spinal medulla; spinal nerve cord; spine cord; cord of the spine; nerve cord in the spine; cord inside the spine; spinal cord tissue; thoracic cord; main nerve of the spine
trachea | anatomy | ct/neck | windpipe; airway in the neck; tracheal lumen; tracheal airway; tracheal air space; tracheal cavity; cervical trachea; cervical airway; main airway of the neck; airway below the larynx; air tube below the voice box; air pipe
larynx | anatomy | ct/neck | voice box; laryngeal airway; laryngeal structure; voice-box; voicebox; laryngeal cavity; laryngeal cartilages; laryngeal region; glottis; vocal cord region; vocal apparatus; sound-producing organ
left mandible | anatomy | ct/head | left lower jaw; left jaw bone; mandible, left; left mandibular bone; left hemimandible; left side of the mandible; left half of the lower jaw; left mandibular arch; left mandibular body; left mandibular half; mandible on the left; jaw bone on the left
right mandible | anatomy | ct/head | right lower jaw; right jaw bone; mandible, right; right mandibular bone; right hemimandible; right side of the mandible; right half of the lower jaw; right mandibular arch; right mandibular body; right mandibular half; mandible on the right; jaw bone on the right
left parotid gland | anatomy | ct/head | left parotid; left salivary gland; parotid, left; left parotis; left parotid salivary gland; left parotid tissue; left parotid lobe; left parotid organ; left preauricular salivary gland; left saliva gland; parotid on the left; salivary gland on the left
right parotid gland | anatomy | ct/head | right parotid; right salivary gland; parotid, right; right parotis; right parotid salivary gland; right parotid tissue; right parotid lobe; right parotid organ; right preauricular salivary gland; right saliva gland; parotid on the right; salivary gland on the right
left temporal lobe | anatomy | ct/brain | left temporal brain; temporal lobe, left; temporal cortex on the left; left temporal cortex; left temporal brain lobe; left temporal brain tissue; left temporal parenchyma; left temporal cerebrum; left temporal region of the brain; temporal lobe on the left; temporal brain on the left; L temporal lobe
right temporal lobe | anatomy | ct/brain | right temporal brain; temporal lobe, right; temporal cortex on the right; right temporal cortex; right temporal brain lobe; right temporal brain tissue; right temporal parenchyma; right temporal cerebrum; right temporal region of the brain; temporal lobe on the right; temporal brain on the right; R temporal lobe
brain stem | anatomy | ct/brain, ct/head | brainstem; pons and medulla; truncus of the brain; brain-stem; brainstem structures; brainstem tissue; stem of the brain; trunk of the brain; cerebral trunk; pons and midbrain; mesencephalon and pons; pontine and medullary region
left eye | anatomy | ct/brain | left eyeball; left globe; eye on the left; left eye ball; left ocular globe; left ocular bulb; left orbital globe; left visual organ; oculus sinister; ocular globe on the left; eye of the left side; eye, left
right eye | anatomy | ct/brain | right eyeball; right globe; eye on the right; right eye ball; right ocular globe; right ocular bulb; right orbital globe; right visual organ; oculus dexter; ocular globe on the right; eye of the right side; eye, right
left ear | anatomy | ct/brain | left inner ear; ear on the left; ear, left; left middle ear; left cochlea; left labyrinth; left otic capsule; left otic region; left auditory organ; left auditory apparatus; inner ear on the left; ear of the left side
right ear | anatomy | ct/brain | right inner ear; ear on the right; ear, right; right middle ear; right cochlea; right labyrinth; right otic capsule; right otic region; right auditory organ; right auditory apparatus; inner ear on the right; ear of the right side
brain tumour | finding | mri/brain | intracranial tumour; brain mass; tumour in the brain; brain tumor; tumour of the brain; tumor of the brain; cerebral tumour; cerebral tumor; intracranial mass; brain neoplasm; intracranial neoplasm; abnormal growth in the brain
glioma | finding | mri/brain | glial tumour; glial brain tumour; gliomatous mass; gliomas; glial tumor; glial neoplasm; glial cell tumour; cerebral glioma; intracranial glioma; glioma of the brain; glial cell tumor; gliomatous tumour
meningioma | finding | mri/brain | meningeal tumour; dural tumour; tumour of the meninges; meningiomas; meningeal tumor; tumor of the meninges; meningeal neoplasm; dural-based tumour; dural-based mass; tumour of the brain lining; intracranial meningioma; meningiomatous mass
pituitary tumour | finding | mri/brain | pituitary adenoma; tumour of the pituitary gland; sellar mass; pituitary tumor; pituitary gland tumour; tumor of the pituitary gland; hypophyseal tumour; hypophyseal tumor; sellar tumour; pituitary mass; pituitary growth; pituitary neoplasm
brain edema | finding | mri/brain | cerebral oedema; brain swelling; peritumoural edema; brain oedema; cerebral edema; oedema of the brain; edema of the brain; oedematous brain tissue; swelling of the brain; peritumoral edema; perilesional oedema; perilesional edema
enhancing brain tumour | finding | mri/brain | enhancing tumour; contrast-enhancing tumour part; active enhancing tumour; enhancing brain tumor; enhancing tumor; contrast-enhancing tumour; contrast-enhancing tumor; contrast-enhancing brain tumour; gadolinium-enhancing tumor; enhancing tumour component; enhancing tumour rim; bright tumour after contrast
non-enhancing brain tumour | finding | mri/brain | non-enhancing tumour; tumour part without enhancement; tumour core without enhancement; non-enhancing brain tumor; non-enhancing tumor; non enhancing brain tumour; non enhancing tumour; non enhancing tumor; nonenhancing tumor; non contrast-enhancing tumour; non-enhancing tumour core; tumour without contrast enhancement
new or enlarged lesion | finding | mri/brain | new MS lesion; new plaque; growing white matter lesion; new or enlarging lesion; new or growing lesion; new T2 lesion; new multiple sclerosis lesion; new demyelinating lesion; new MS plaque; new white matter lesion; enlarging MS lesion; newly appeared lesion
left ventricle | anatomy | mri/heart | left ventricular cavity; LV blood pool; LV cavity; LV; LV chamber; left ventricular chamber; left ventricular blood pool; left ventricle cavity; left heart ventricle; left cardiac ventricle; left lower heart chamber; ventriculus sinister
right ventricle | anatomy | mri/heart | right ventricular cavity; RV blood pool; RV cavity; RV; RV chamber; right ventricular chamber; right ventricular blood pool; right ventricle cavity; right heart ventricle; right cardiac ventricle; right lower heart chamber; ventriculus dexter
left ventricular myocardium | anatomy | mri/heart | myocardium; LV wall; heart muscle; LV myocardium; left ventricle myocardium; LV myocardial wall; myocardial wall; myocardial muscle; muscular heart wall; muscle wall of the heart; muscular wall of the LV; left heart muscle
benign tumour | finding | ultrasound/breast | benign breast lesion; benign breast mass; fibroadenoma; benign tumor; benign breast tumour; benign breast tumor; benign mammary tumour; benign breast lump; benign breast nodule; benign growth in the breast; benign breast neoplasm; non-malignant breast mass
malignant tumour | finding | ultrasound/breast | breast cancer; malignant breast mass; breast carcinoma; malignant tumor; malignant breast tumour; malignant breast tumor; malignant breast lump; malignant breast lesion; breast malignancy; malignant growth in the breast; cancerous breast tumour; malignant breast neoplasm
thyroid nodule | finding | ultrasound/thyroid | nodule in the thyroid; thyroid lesion; thyroid lump; thyroid gland nodule; nodule of the thyroid gland; nodular thyroid lesion; focal thyroid lesion; intrathyroidal nodule; thyroid knot; nodule in the thyroid gland; thyroid mass; thyroid growth
fetal head | anatomy | ultrasound/fetal head | foetal skull; head of the fetus; baby's head; foetal head; fetal skull; fetal calvarium; fetal head circumference; foetal head circumference; skull of the fetus; head of the foetus; head of the baby; baby head
mass | finding | mammography/breast | breast mass on mammogram; mammographic mass; rounded density; mammographic masses; mass on mammography; mammographic mass lesion; mass-like density in the breast; mammographic nodule; mammographic tumour; rounded breast density; nodular breast density; mass-like breast density
calcification | finding | mammography/breast | calcifications; microcalcifications; calcium specks; breast calcifications; breast microcalcifications; microcalcification; calcific specks; calcific flecks; mammographic calcification; calcific deposits; calcium flecks; chalk deposits in the breast
architectural distortion | finding | mammography/breast | distorted breast architecture; parenchymal distortion; distortion; architectural distortions; breast architectural distortion; distortion of the breast architecture; disturbed breast architecture; distorted breast tissue; distorted breast parenchyma; mammographic distortion; retracted breast parenchyma; tissue retraction in the breast
asymmetry | finding | mammography/breast | breast asymmetry; asymmetric density; focal asymmetry; mammographic asymmetry; breast tissue asymmetry; focal breast asymmetry; asymmetrical breast tissue; asymmetric breast density; asymmetrical breast density; asymmetric breast tissue; uneven breast density; density asymmetry between the breasts
polyp | finding | endoscopy/colon | polyps; colonic polyp; growth in the bowel; colon polyp; colorectal polyp; bowel polyp; intestinal polyp; colonic polyps; mucosal polyp; polypoid growth; polypoid lesion; abnormal growth in the bowel
skin lesion | finding | dermoscopy/skin | mole; naevus; pigmented lesion; lesion on the skin; cutaneous lesion; pigmented skin lesion; nevus; nevi; naevi; skin mole; dermatological lesion; skin growth
optic disc | anatomy | fundus/retina | optic nerve head; papilla; optic disk; optic nerve disc; optic nerve disk; disc of the optic nerve; head of the optic nerve; papilla nervi optici; discus nervi optici; ONH; retinal nerve head; exit of the optic nerve
optic cup | anatomy | fundus/retina | cup of the optic disc; physiological cup; cup of the optic nerve; disc cup; optic disc cup; optic nerve cup; optic nerve head cup; ONH cup; papillary cup; physiologic cup; physiological excavation; sunken centre of the optic disc
retinal vessels | anatomy | fundus/retina | blood vessels; retinal vasculature; vessel tree; retinal vessel; retinal vascular tree; retinal vessel network; retinal arteries and veins; blood vessels in the eye; blood vessels of the retina; fundus vessels; fundus vasculature; vessel branches in the retina
retinal arteries | anatomy | fundus/retina | arterioles; retinal arterioles; arterial vessels; retinal artery; retinal arteriole; retinal arterial vessels; retinal arterial branches; arterial blood vessels of the retina; fundus arteries; fundus arterioles; arteries on the fundus; arteriolar tree
retinal veins | anatomy | fundus/retina | venules; retinal venules; venous vessels; retinal vein; retinal venule; retinal venous vessels; retinal venous branches; venous blood vessels of the retina; fundus veins; fundus venules; veins on the fundus; venular tree
microaneurysms | finding | fundus/retina | microaneurysm; tiny red dots; small retinal aneurysms; micro-aneurysms; micro-aneurysm; retinal microaneurysms; capillary aneurysms; capillary microaneurysms; minute retinal aneurysms; microscopic aneurysms; tiny vessel bulges in the retina; tiny aneurysms of the retina
haemorrhages | finding | fundus/retina | bleeding; retinal bleeding; retinal haemorrhage; retinal hemorrhage; retinal bleed; bleeding in the retina; fundus haemorrhage; fundus hemorrhage; intraretinal haemorrhage; intraretinal hemorrhage; retinal bleeds; bleeding on the fundus
hard exudates | finding | fundus/retina | exudates; yellow lipid deposits; lipid exudates; hard exudate; retinal exudates; retinal hard exudates; retinal lipid exudates; intraretinal lipid; yellow exudates; yellow retinal deposits; hard retinal exudates; waxy yellow exudates
soft exudates | finding | fundus/retina | cotton wool spots; cotton-wool spot; fluffy white spots; soft exudate; cotton wool spot; cotton-wool spots; cotton-wool exudates; retinal soft exudates; fluffy retinal exudates; retinal microinfarcts; cytoid bodies; woolly white spots
nucleus | object | fluorescence microscopy/cells, histopathology/tissue, microscopy/cells, histopathology/lung, histopathology/breast, histopathology/kidney, histopathology/prostate | nuclei; cell nuclei; stained nuclei; cell nucleus; cellular nuclei; nuclear regions; nuclear objects; nuclear area; stained cell nuclei; nuclear profiles; cellular nucleus; individual nuclei
gland | object | histopathology/colon | glands; colonic crypts; glandular structures; colonic glands; colorectal glands; intestinal glands; mucosal glands; epithelial glands; colonic crypt; mucosal crypts; glandular epithelium; gland profiles
red blood cell | object | microscopy/blood | red blood cells; erythrocytes; red cells; erythrocyte; red cell; stained erythrocytes; normocytes; biconcave blood discs; circulating red cells; anucleate red cells; haemoglobin-filled cells; hemoglobin-filled cells
white blood cell | object | microscopy/blood | white blood cells; leukocytes; white cell; leukocyte; leucocyte; leucocytes; blood leukocytes; nucleated blood cell; immune blood cells; infection-fighting blood cell; defence cell of the blood; defense cell of the blood
platelet | object | microscopy/blood | platelets; thrombocytes; small platelet cells; blood platelet; thrombocyte; blood thrombocytes; platelet cells; platelet bodies; platelet discs; blood-clotting platelets; megakaryocyte fragments; coagulation platelets
"""

# Types of one thing, of which an image shows at most one: which it is may be wrong where the thing itself is not.
TYPES = {
    "breast tumour": ("benign tumour", "malignant tumour"),
    "brain tumour": ("glioma", "meningioma", "pituitary tumour"),
}

# What people call a lump, mass, growth or tumour: which of them is meant, the kind of image tells.
LUMPS = (
    "mass", "lung mass", "lung nodule", "lung cancer", "liver cancer", "brain tumour", "glioma", "meningioma",
    "pituitary tumour", "benign tumour", "malignant tumour", "thyroid nodule", "polyp", "skin lesion",
)  # fmt: skip

LUMP_WORDS = frozenset("tumour tumor lump lesion growth mass neoplasm cancer malignancy".split())

# Found in other parts of the body too, where the model does not know them.
ANYWHERE = ("mass", "calcification", "fracture", "haemorrhages", "benign tumour", "malignant tumour")

# Things thinner or smaller than a pixel of the model's grid: looked for in enlarged parts of the image.
FINE = (
    "retinal vessels", "retinal arteries", "retinal veins",
    "microaneurysms", "haemorrhages", "hard exudates", "soft exudates",
)  # fmt: skip

# Words around a name that only ask for it.
ASKING = frozenset(
    """a an the any all each every some both of my his her their our this that these those here there please can could would you i
    we me us do does did is are be find show mark outline trace draw segment highlight locate point out to where what which how
    big large see seen visible look looks looking for in on at it its patient's patient patients' image picture photo photograph
    scan slice film x-ray radiograph view structure area region tissue let's get give tell there's where's""".split()
)

BRANCHING = ("retinal vessels", "retinal arteries", "retinal veins", "airways")

SPELLINGS = {
    "fracture line": "fracture",
    "angulated fracture": "fracture",
    "displaced fracture": "fracture",
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


def asked_name(phrase: str) -> str | None:
    """As `known_name`, but the label may stand among words that only ask for it: "where is the patient's heart?"."""
    if name := known_name(phrase):
        return name
    words = re.findall(r"[a-z0-9'-]+", phrase.lower())
    while words and words[0] in ASKING and known_name(" ".join(words)) is None:
        words = words[1:]
    while words and words[-1] in ASKING and known_name(" ".join(words)) is None:
        words = words[:-1]
    return known_name(" ".join(words)) if words else None


def is_finding(label: str) -> bool:
    """Whether a label is an abnormality rather than normal anatomy."""
    return canonical(label) in LABELS and LABELS[canonical(label)].kind == "finding"


def other_types(label: str) -> tuple[str, ...]:
    """The types of the same thing that a label excludes, such as the malignant tumour for the benign one."""
    return tuple(other for group in TYPES.values() if label in group for other in group if other != label)


def whole(label: str) -> str | None:
    """The thing that a label is a type of, such as the breast tumour for the malignant tumour; else `None`."""
    return next((thing for thing, group in TYPES.items() if label in group), None)


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


@cache
def reviewed_answers() -> tuple[str, ...]:
    """The short answers that may be given without generation: none names a treatment, a cause, a symptom or a person."""
    return tuple(yaml.safe_load((Path(__file__).parent / "answers.yaml").read_text(encoding="utf-8")))
